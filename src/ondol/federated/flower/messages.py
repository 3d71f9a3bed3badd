"""Our questions and answers as Flower's messages: a stage's name, and a body in parts.

A part is an object of its own on the wire, named by its SHA-256 and retried alone: a link that
breaks loses one part, and what is the same for every device is kept once at home.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

from flwr.app import ConfigRecord, Message, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.common.constant import SUPERLINK_NODE_ID

from ondol.federated.grid import Failure

PART_BYTES = 256 * 1024
MOST_PARTS = 1024
"""A body has 256 MiB at most."""
MOST_OBJECTS = MOST_PARTS + 8
"""Of a message: its parts, and what Flower puts around them."""

_STAGE = re.compile(r"[a-z][a-z_/]{0,31}")
_TYPES = {"train": "train", "evaluate": "evaluate"}
"""Flower's kinds of messages; every other stage is a query."""


class NoMessageError(ValueError):
    """What came is none of our messages."""


def question(run_id: int, node: int, stage: str, body: bytes, seconds: float) -> Message:
    """``stage`` and ``body`` for ``node``; after ``seconds`` it is not delivered any more."""
    return make_message(
        metadata=Metadata(
            run_id=run_id,
            message_id="",
            src_node_id=SUPERLINK_NODE_ID,
            dst_node_id=node,
            reply_to_message_id="",
            # The same question asked again is another message.
            group_id=hashlib.sha256(f"{time.time_ns()} {node}".encode()).hexdigest()[:16],
            created_at=time.time(),
            ttl=seconds,
            message_type=_TYPES.get(stage, "query"),
        ),
        content=_content({"stage": stage}, body),
    )


def read_question(message: Message) -> tuple[str, bytes]:
    """The stage and the body. Raises ``NoMessageError``."""
    head, body = _read(message)
    stage = head.get("stage")
    if not isinstance(stage, str) or not _STAGE.fullmatch(stage):
        raise NoMessageError("stage")
    return stage, body


def answer(message: Message, said: bytes | Failure) -> Message:
    """The reply to ``message``; it has the times of the question, which are home's."""
    about = message.metadata
    if isinstance(said, Failure):
        content = _content({"code": said.code[:64], "reason": said.reason[:1024]}, b"")
    else:
        content = _content({"code": ""}, said)
    return make_message(
        metadata=Metadata(
            run_id=about.run_id,
            message_id="",
            src_node_id=about.dst_node_id,
            dst_node_id=about.src_node_id,
            reply_to_message_id=about.message_id,
            group_id=about.group_id,
            created_at=about.created_at,
            ttl=about.ttl,
            message_type=about.message_type,
        ),
        content=content,
    )


def read_answer(message: Message) -> bytes | Failure:
    """What a device answered, or why it did not."""
    if message.has_error():
        return Failure("gone", f"flower error {message.error.code}")
    try:
        head, body = _read(message)
    except NoMessageError as error:
        return Failure("malformed_message", str(error))
    if code := head.get("code"):
        return Failure(str(code)[:64], str(head.get("reason", ""))[:1024])
    return body


def _content(head: dict[str, str], body: bytes) -> RecordDict:
    if len(body) > MOST_PARTS * PART_BYTES:
        raise NoMessageError(f"{len(body)} bytes")
    # Every record is a request of its own on the wire: the first part goes with the head.
    first = {**head, "bytes": len(body), "part": body[:PART_BYTES]}
    records: dict[str, Any] = {"head": ConfigRecord(first)}
    for number, start in enumerate(range(PART_BYTES, len(body), PART_BYTES)):
        records[f"part{number:04}"] = ConfigRecord({"part": body[start : start + PART_BYTES]})
    return RecordDict(records)


def _read(message: Message) -> tuple[dict[str, Any], bytes]:
    records = message.content.config_records
    if (
        "head" not in records
        or len(records) > MOST_PARTS + 1
        or len(message.content) != len(records)
    ):
        raise NoMessageError("records")
    head = dict(records["head"])
    names = ["head", *sorted(name for name in records if name != "head")]
    parts = [records[name].get("part") for name in names]
    if not all(isinstance(part, bytes) for part in parts):
        raise NoMessageError("parts")
    body = b"".join(part for part in parts if isinstance(part, bytes))
    if head.get("bytes") != len(body):
        raise NoMessageError("length")
    return head, body
