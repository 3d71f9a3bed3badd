"""Transcriptions, and honest refusals of what no model here does."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import openai
import pytest
from house import House, scripted_house
from test_openai_tools import post

from ondol import config
from ondol.errors import UsageError
from ondol.server.openai import speech


@dataclass
class Word:
    word: str
    start: float
    end: float


@dataclass
class Segment:
    text: str
    start: float
    end: float
    words: list[Word] = field(default_factory=list)
    seek: int = 0
    tokens: tuple[int, ...] = (1, 2)
    avg_logprob: float = -0.1
    compression_ratio: float = 1.0
    no_speech_prob: float = 0.0
    temperature: float | None = 0.0


SAID = [
    Segment(" The stove is warm.", 0.0, 1.5, [Word(" The", 0.0, 0.2)]),
    Segment(" 따뜻합니다.", 3661.25, 3662.0),
]


class Whisper:
    """Hears ``SAID``, whatever is played to it."""

    asked: dict[str, Any]
    loaded = 0

    def __init__(self, folder: str, **how: Any) -> None:
        assert how["local_files_only"] is True
        Whisper.loaded += 1

    def transcribe(self, samples: Any, **asked: Any) -> Any:
        Whisper.asked = asked
        if asked["language"] == "xx":
            raise ValueError
        return iter(SAID), types.SimpleNamespace(language="en")


def folder_of(path: Path) -> Path:
    folder = path / "whisper"
    folder.mkdir()
    for name in speech.NEEDED:
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    path = tmp_path_factory.mktemp("speech")
    environ = {"ONDOL_SPEECH_MODEL": str(folder_of(path))}
    with scripted_house(path, environ) as house:
        yield house


@pytest.fixture
def client(speaking: House, monkeypatch) -> Iterator[openai.OpenAI]:
    module = types.ModuleType("faster_whisper")
    module.__spec__ = ModuleSpec("faster_whisper", None)
    module.WhisperModel = Whisper  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    monkeypatch.setattr(speech, "decode", lambda sound: [0.0] * speech.RATE * 2)
    url = f"{speaking.url}/v1"
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        yield client


SOUND = ("a.wav", b"RIFF....WAVE")


def test_a_recording_is_written_down(client: openai.OpenAI) -> None:
    heard = client.audio.transcriptions.create(
        model="whisper-1", file=SOUND, language="EN", prompt="Ondol", temperature=0.2
    )
    assert heard.text == "The stove is warm. 따뜻합니다."
    assert heard.usage is not None and heard.usage.seconds == 2.0
    assert Whisper.asked["language"] == "en" and Whisper.asked["initial_prompt"] == "Ondol"
    assert Whisper.asked["temperature"] == 0.2


def test_a_model_is_loaded_once(client: openai.OpenAI) -> None:
    for _ in range(2):
        client.audio.transcriptions.create(model="w", file=SOUND)
    assert Whisper.loaded == 1


def test_every_form_of_an_answer(client: openai.OpenAI) -> None:
    def heard(form: Any, **how: Any) -> Any:
        return client.audio.transcriptions.create(
            model="w", file=SOUND, response_format=form, **how
        )

    assert heard("text") == "The stove is warm. 따뜻합니다.\n"
    assert heard("srt").startswith(
        "1\n00:00:00,000 --> 00:00:01,500\nThe stove is warm.\n\n2\n01:01:01,250"
    )
    assert heard("vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nThe stove is warm.\n")
    verbose = heard("verbose_json", timestamp_granularities=["word"])
    assert (verbose.language, verbose.duration) == ("en", 2.0)
    assert [segment.id for segment in verbose.segments] == [0, 1]
    assert verbose.words[0].word == "The" and Whisper.asked["word_timestamps"] is True


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "pdf"}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "1.5"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"language": "xx"}, "language"),
        ({f"field{n}": "x" for n in range(20)}, "file"),
        ({"prompt": "x" * 100_000}, "file"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_it(client, speaking: House, fields, param) -> None:
    with speaking.client() as raw:
        files = {"file": SOUND}
        response = raw.post("/v1/audio/transcriptions", data=fields, files=files)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "application/json"),
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data"),
        (
            b"--x\r\nContent-Disposition: nothing\r\n\r\nx\r\n--x--",
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_what_is_no_form_with_a_file_is_a_400(client, speaking, content, kind) -> None:
    with speaking.client() as raw:
        headers = {"content-type": kind}
        response = raw.post("/v1/audio/transcriptions", content=content, headers=headers)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == "file"


def test_without_a_model_it_is_a_501_that_says_how(house: House) -> None:
    with house.client() as raw:
        response = raw.post("/v1/audio/transcriptions", files={"file": SOUND})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (501, "speech_unavailable")
    assert "models.speech" in error["message"]


def test_a_folder_without_a_model_and_a_missing_extra_say_so(tmp_path: Path, monkeypatch) -> None:
    def reader(folder: Path) -> speech.Speech:
        environ = {"ONDOL_SPEECH_MODEL": str(folder)}
        return speech.Speech(config.load(environ=environ, file=tmp_path / "none.toml"))

    with pytest.raises(speech.SpeechUnavailableError, match="tokenizer"):
        reader(tmp_path).check()
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    with pytest.raises(speech.SpeechUnavailableError) as caught:
        reader(folder_of(tmp_path)).check()
    assert "ondol[speech]" in caught.value.hint


class FFmpegError(Exception):
    pass


def fake_av(monkeypatch, open_: Any) -> None:
    resampler = types.SimpleNamespace(resample=lambda frame: [frame] if frame else [])
    module = types.ModuleType("av")
    module.AudioResampler = lambda **how: resampler  # type: ignore[attr-defined]
    module.open = open_  # type: ignore[attr-defined]
    module.error = types.SimpleNamespace(FFmpegError=FFmpegError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "av", module)


class Container:
    def __init__(self, blocks: int, samples: int) -> None:
        self.blocks, self.samples = blocks, samples

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode(self, audio: int) -> Iterator[Any]:
        import numpy as np

        block = np.full((1, self.samples), 16384, dtype=np.int16)
        for _ in range(self.blocks):
            yield types.SimpleNamespace(pts=7, to_ndarray=lambda: block)


def test_sound_is_decoded_up_to_some_hours(monkeypatch) -> None:
    opened: dict[str, Any] = {}

    def open_(file: Any, **how: Any) -> Container:
        opened.update(how)
        return Container(2, 4)

    fake_av(monkeypatch, open_)
    assert speech.decode(b"x").tolist() == [0.5] * 8
    # No playlist, and no address in whatever else it may be.
    assert "hls" not in opened["options"]["format_whitelist"]
    assert opened["options"]["protocol_whitelist"] == "none"
    hour = 3600 * speech.RATE
    fake_av(monkeypatch, lambda file, **how: Container(100, hour))
    with pytest.raises(UsageError, match="4 hours"):
        speech.decode(b"x")


def test_what_is_no_sound_is_refused(monkeypatch) -> None:
    def broken(file: Any, **how: Any) -> Any:
        raise FFmpegError

    fake_av(monkeypatch, broken)
    with pytest.raises(UsageError, match="no recording"):
        speech.decode(b"hello")
    fake_av(monkeypatch, lambda file, **how: Container(0, 1))
    with pytest.raises(UsageError, match="no recording"):
        speech.decode(b"hello")


@pytest.mark.parametrize("path", ["audio/speech", "images/generations", "moderations"])
def test_what_no_model_here_does_is_a_501(house: House, path: str) -> None:
    response = post(house, f"/v1/{path}", {"input": "x", "prompt": "x"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (501, "not_implemented")
    assert error["type"] == "api_error" and "No model" in error["message"]
