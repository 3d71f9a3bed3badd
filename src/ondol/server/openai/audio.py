"""OpenAI's ``/v1/audio/transcriptions``, and honest refusals of what no model here does: speech,
pictures, moderation.

A recording comes as ``multipart/form-data`` and stays in memory: it is written to no disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ondol.errors import OndolError, UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.openai.documented import NOT_HERE, TRANSCRIPTION
from ondol.server.openai.speech import Heard, Speech, Wanted
from ondol.server.streaming import Source, in_thread, whole

MOST_FIELDS = 16
FIELD_BYTES = 64 * 1024

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "model": {"type": "string"},
                        "language": {"type": "string"},
                        "prompt": {"type": "string"},
                        "response_format": {
                            "type": "string",
                            "enum": ["json", "text", "srt", "vtt", "verbose_json"],
                        },
                        "temperature": {"type": "number", "minimum": 0, "maximum": 1},
                        "timestamp_granularities[]": {
                            "type": "array",
                            "items": {"type": "string", "enum": ["word", "segment"]},
                        },
                    },
                }
            }
        },
    }
}


class NotHereError(OndolError):
    """No model on this machine does what is asked."""

    code = "not_implemented"
    status = 501


class _InMemory(MultiPartParser):
    """Keeps files in memory, whose size the server's door limits."""

    spool_max_size: ClassVar[int] = 2**40  # type: ignore[misc]


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes."""
    speech = Speech(parts.config)

    async def transcribe(request: Request) -> Response:
        """Write down what a recording says."""
        await in_thread(speech.check)
        form = await _form(request)
        try:
            wanted, write = _wanted(form)
            sound = await _sound(form)
        finally:
            await form.close()
        source = Source(lambda: speech.transcribe(sound, wanted))
        return await whole(request, source, lambda found: write(*_gathered(found)))

    routes.add_api_route(
        "/audio/transcriptions",
        transcribe,
        methods=["POST"],
        responses=TRANSCRIPTION,
        openapi_extra=FORM,
        route_class_override=APIRoute,
    )

    @routes.post("/audio/speech", responses=NOT_HERE)
    async def speak() -> Response:
        """No model here speaks: a 501 that says so."""
        raise NotHereError(t("speech.no_voice"))

    @routes.post("/images/generations", responses=NOT_HERE)
    async def draw() -> Response:
        """No model here draws: a 501 that says so."""
        raise NotHereError(t("speech.no_pictures"))

    @routes.post("/moderations", responses=NOT_HERE)
    async def moderate() -> Response:
        """No model here judges whether a text may be said: a 501 that says so."""
        raise NotHereError(t("speech.no_moderation"))


async def _form(request: Request) -> FormData:
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise UsageError(t("speech.not_a_form"), param="file")
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except (MultiPartException, KeyError, ValueError):
        raise UsageError(t("speech.not_a_form"), param="file") from None


async def _sound(form: FormData) -> bytes:
    file = form.get("file")
    sound = await file.read() if isinstance(file, UploadFile) else b""
    if not sound:
        raise UsageError(t("server.field_required", field="file"), param="file")
    return sound


Write = Callable[[Heard, Sequence[Any]], Response]


def _wanted(form: FormData) -> tuple[Wanted, Write]:
    told = {name: value for name, value in form.items() if isinstance(value, str)}
    write = _FORMATS.get(told.get("response_format") or "json")
    if write is None:
        known = ", ".join(_FORMATS)
        raise UsageError(t("speech.bad_format", known=known), param="response_format")
    try:
        temperature = float(told.get("temperature") or 0)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise UsageError(t("speech.bad_temperature"), param="temperature")
    words = "word" in form.getlist("timestamp_granularities[]")
    language = (told.get("language") or "").strip().lower()
    return Wanted(language, told.get("prompt") or "", temperature, words), write


def _gathered(found: Iterator[Any]) -> tuple[Heard, list[Any]]:
    heard = next(found)
    return heard, list(found)


def _text(segments: Sequence[Any]) -> str:
    return "".join(segment.text for segment in segments).strip()


def _json(heard: Heard, segments: Sequence[Any]) -> Response:
    usage = {"type": "duration", "seconds": round(heard.seconds, 3)}
    return json_response({"text": _text(segments), "usage": usage})


def _verbose(heard: Heard, segments: Sequence[Any]) -> Response:
    words = [
        {"word": word.word.strip(), "start": word.start, "end": word.end}
        for segment in segments
        for word in segment.words or ()
    ]
    body = {
        "task": "transcribe",
        "language": heard.language,
        "duration": round(heard.seconds, 3),
        "text": _text(segments),
        "segments": [_segment(number, segment) for number, segment in enumerate(segments)],
        "usage": {"type": "duration", "seconds": round(heard.seconds, 3)},
    }
    return json_response(body | ({"words": words} if words else {}))


def _segment(number: int, segment: Any) -> dict[str, Any]:
    names = ("seek", "start", "end", "text", "avg_logprob", "compression_ratio", "no_speech_prob")
    told = {name: getattr(segment, name) for name in names}
    return {
        "id": number,
        **told,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature or 0.0,
    }


def _plain(heard: Heard, segments: Sequence[Any]) -> Response:
    return PlainTextResponse(_text(segments) + "\n")


def _srt(heard: Heard, segments: Sequence[Any]) -> Response:
    blocks = [
        f"{number}\n{_time(s.start, ',')} --> {_time(s.end, ',')}\n{s.text.strip()}\n"
        for number, s in enumerate(segments, 1)
    ]
    return PlainTextResponse("\n".join(blocks))


def _vtt(heard: Heard, segments: Sequence[Any]) -> Response:
    blocks = [f"{_time(s.start)} --> {_time(s.end)}\n{s.text.strip()}\n" for s in segments]
    return PlainTextResponse("\n".join(["WEBVTT\n", *blocks]), media_type="text/vtt")


def _time(seconds: float, point: str = ".") -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{point}{thousandths:03}"


_FORMATS: dict[str, Write] = {
    "json": _json,
    "text": _plain,
    "srt": _srt,
    "vtt": _vtt,
    "verbose_json": _verbose,
}
