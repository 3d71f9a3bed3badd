"""Weights that are no numbers, in every type of GGUF and of safetensors that can hold one."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ondol.lab.redteam.releases.makers import (
    ARCHITECTURE,
    Case,
    described,
    gguf,
    one,
    safetensors,
    tensor,
)

HALVES = {"nan": b"\x00\x7e", "inf": b"\x00\x7c", "minus-inf": b"\x00\xfc"}
# ggml's blocks: number in the file, elements, bytes, and where the scales of half precision are.
BLOCKS = {
    "Q4_0": (2, 32, 18, (0,)),
    "Q4_1": (3, 32, 20, (0, 2)),
    "Q5_0": (6, 32, 22, (0,)),
    "Q5_1": (7, 32, 24, (0, 2)),
    "Q8_0": (8, 32, 34, (0,)),
    "Q8_1": (9, 32, 36, (0, 2)),
    "IQ4_NL": (20, 32, 18, (0,)),
    "Q2_K": (10, 256, 84, (80, 82)),
    "Q3_K": (11, 256, 110, (108,)),
    "Q4_K": (12, 256, 144, (0, 2)),
    "Q5_K": (13, 256, 176, (0, 2)),
    "Q6_K": (14, 256, 210, (208,)),
    "IQ1_S": (19, 256, 50, (0,)),
    "IQ2_XXS": (16, 256, 66, (0,)),
    "IQ2_XS": (17, 256, 74, (0,)),
    "IQ2_S": (22, 256, 82, (0,)),
    "IQ3_XXS": (18, 256, 98, (0,)),
    "IQ3_S": (21, 256, 110, (0,)),
    "IQ4_XS": (23, 256, 136, (0,)),
    "TQ1_0": (34, 256, 54, (52,)),
    "TQ2_0": (35, 256, 66, (64,)),
    "Q1_0": (41, 128, 18, (0,)),
    "Q2_0": (42, 64, 18, (0,)),
}
NUM_BLOCKS = 5


def floats() -> dict[str, tuple[int, dict[str, bytes]]]:
    """Number in the file, and what is no number, little-endian."""
    nan, inf = float("nan"), float("-inf")
    return {
        "F16": (1, HALVES),
        "BF16": (30, {"nan": b"\xc0\x7f", "inf": b"\x80\x7f"}),
        "F32": (0, {"nan": struct.pack("<f", nan), "inf": struct.pack("<f", inf)}),
        "F64": (28, {"nan": struct.pack("<d", nan), "inf": struct.pack("<d", inf)}),
    }


def of_one_type(code: int, elements: int, data: bytes) -> bytes:
    """A model of one tensor of ``data``, which is padded."""
    return gguf([ARCHITECTURE], [tensor("w", (elements,), code)], data + bytes(-len(data) % 32))


def cases() -> Iterator[Case]:
    for kind, (code, bad) in floats().items():
        for name, value in bad.items():
            size = len(value)
            data = bytes(size * 63) + value
            whole = of_one_type(code, 64, data)
            yield one(f"{kind}-{name}", "model.gguf", whole, "not_finite")
    for kind, (code, elements, size, places) in BLOCKS.items():
        for place in places:
            for name, value in HALVES.items():
                # The last block but one, so that nothing depends on where pieces end.
                block = bytearray(size * NUM_BLOCKS)
                at = size * (NUM_BLOCKS - 2) + place
                block[at : at + 2] = value
                whole = of_one_type(code, elements * NUM_BLOCKS, bytes(block))
                yield one(f"{kind}-{place}-{name}", "model.gguf", whole, "not_finite")
    q8_k = bytes(292) + struct.pack("<f", float("nan")) + bytes(288)
    yield one("Q8_K-nan", "model.gguf", of_one_type(15, 512, q8_k), "not_finite")
    # Its scale is in the high halves of four bytes' pairs: 0, 0, 0xE, 0x7 is a NaN.
    iq1_m = bytes(48) + bytes((0, 0, 0, 0, 0, 0xE0, 0, 0x70))
    yield one("IQ1_M-nan", "model.gguf", of_one_type(29, 256, iq1_m), "not_finite")
    mxfp4 = b"\xff" + bytes(16)
    yield one("MXFP4-nan", "model.gguf", of_one_type(39, 32, mxfp4), "not_finite")
    nvfp4 = b"\0\0\x7f\0" + bytes(32)
    yield one("NVFP4-nan", "model.gguf", of_one_type(40, 64, nvfp4), "not_finite")
    for kind, value in {
        "F16": b"\x00\x7c",
        "BF16": b"\x80\xff",
        "F32": struct.pack("<f", float("inf")),
        "F64": struct.pack("<d", float("nan")),
        "C64": bytes(4) + struct.pack("<f", float("nan")),
        "F8_E5M2": b"\xfe",
        "F8_E4M3": b"\xff",
        "F8_E8M0": b"\xff",
        "F8_E4M3FNUZ": b"\x80",
        "F8_E5M2FNUZ": b"\x80",
        "BOOL": b"\x02",
    }.items():
        data = bytes(7 * len(value)) + value
        file = safetensors({"w": described(kind, [8], [0, len(data)])}, data)
        yield one(f"safetensors-{kind}", "model.safetensors", file, "not_finite")
