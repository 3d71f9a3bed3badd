"""Speech to text with Whisper (arXiv 2212.04356) on this machine, through faster-whisper.

The model is a folder that the owner chose (``models.speech``): nothing is ever downloaded. Sound
comes from anybody, so only plain containers are opened (a playlist could name any address) and no
more than some hours are decoded. Raises ``SpeechUnavailableError`` and ``UsageError``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import OndolError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.config import Config

RATE = 16_000
MOST_SECONDS = 4 * 3600
# FFmpeg's names of containers that hold their own sound and refer to nothing else.
CONTAINERS = "wav,mp3,mp4,m4a,mov,ogg,flac,matroska,webm,aac,amr,aiff,caf"
NEEDED = ("model.bin", "config.json", "tokenizer.json")


class SpeechUnavailableError(OndolError):
    """This machine has no model that writes down speech, or not what it runs on."""

    code = "speech_unavailable"
    status = 501


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to write down: ``language`` is a code (``ko``) or empty (it is heard), ``prompt`` what
    was said before; ``words`` asks for the time of each word."""

    language: str = ""
    prompt: str = ""
    temperature: float = 0.0
    words: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """The language of a recording and its length."""

    language: str
    seconds: float


class Speech:
    """One model, loaded when it is first needed. One recording at a time; safe to use from several
    threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._loaded: tuple[Path, Any] | None = None

    def check(self) -> Path:
        """The model's folder. Raises ``SpeechUnavailableError`` where speech cannot be read."""
        given = self._config["models.speech"]
        if not given:
            raise SpeechUnavailableError(t("speech.no_model"), t("speech.no_model_hint"))
        folder = Path(given).expanduser()
        if not all((folder / name).is_file() for name in NEEDED):
            told = t("speech.not_a_model", files=", ".join(NEEDED))
            raise SpeechUnavailableError(told, t("speech.no_model_hint"))
        if find_spec("faster_whisper") is None:
            raise SpeechUnavailableError(t("speech.not_installed"), t("speech.install"))
        return folder

    def transcribe(self, sound: bytes, wanted: Wanted) -> Iterator[Heard | Any]:
        """What is known of the recording, then its segments (faster-whisper's) as they come."""
        folder = self.check()
        samples = decode(sound)
        with self._lock:
            model = self._model(folder)
            try:
                segments, about = model.transcribe(
                    samples,
                    language=wanted.language or None,
                    initial_prompt=wanted.prompt or None,
                    temperature=wanted.temperature,
                    word_timestamps=wanted.words,
                )
            except ValueError:
                told = t("speech.no_such_language", language=wanted.language[:20])
                raise UsageError(told, param="language") from None
            yield Heard(about.language, len(samples) / RATE)
            yield from segments

    def _model(self, folder: Path) -> Any:
        from faster_whisper import WhisperModel

        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = None
            threads = self._config["engine.threads"]
            model = WhisperModel(str(folder), local_files_only=True, cpu_threads=threads)
            self._loaded = (folder, model)
        return self._loaded[1]


def decode(sound: bytes) -> Any:
    """``sound`` as float32 samples, 16 kHz, one channel. Raises ``UsageError`` for what is no
    recording, or too long a one."""
    import av
    import numpy as np

    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    blocks: list[Any] = []
    left = MOST_SECONDS * RATE
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
    try:
        with av.open(BytesIO(sound), options=options, metadata_errors="ignore") as container:
            for frame in chain(container.decode(audio=0), [None]):
                if frame is not None:
                    frame.pts = None
                for piece in resampler.resample(frame):
                    blocks.append(piece.to_ndarray().reshape(-1))
                    left -= blocks[-1].size
                    if left < 0:
                        raise UsageError(
                            t("speech.too_long", hours=MOST_SECONDS // 3600), param="file"
                        )
    except (av.error.FFmpegError, IndexError, ValueError):
        # What could be read of a damaged end is not worth a wrong answer.
        raise UsageError(t("speech.no_sound"), param="file") from None
    if not blocks:
        raise UsageError(t("speech.no_sound"), param="file")
    return np.concatenate(blocks).astype(np.float32) / 32768.0
