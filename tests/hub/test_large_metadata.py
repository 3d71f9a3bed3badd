"""What a hub says is bounded in all, not only each part of it; so are the numbers in headers."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from forged_hub import ForgedHub, hub_at, mirrors

from ondol.errors import UntrustedError
from ondol.hub.client import refreshing
from ondol.models.resume import version_of

WEIGHTS = b"weights" * 1000


def test_a_hub_of_very_many_publishers_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = ForgedHub()
    for number in range(6):
        forged.add_publisher(f"p{number}")
        forged.release(f"p{number}", "item", "1", {"a.gguf": b"x"}, description="x" * 4000)
    with mirrors(forged.files()) as (mirror,):
        hub = hub_at(forged, tmp_path, mirror)
        monkeypatch.setattr(refreshing, "MOST_BYTES", 12_000)
        with pytest.raises(UntrustedError, match="more than it may"):
            hub.refresh()
        assert hub.releases() == []
        asked = [path for path, _ in mirror.asked if ".p" in path]
        assert len(asked) < 6
        monkeypatch.undo()
        hub.refresh()
        assert len(hub.releases()) == 6


@pytest.mark.parametrize("header", ["content-range", "content-length"])
def test_a_length_that_no_file_has_is_none(header: str) -> None:
    said = version_of("http://hub.lan/a", {header: f"bytes 0-1/{'9' * 5000}"[-5000:]})
    assert said.total_bytes is None
    assert version_of("http://hub.lan/a", {"content-length": "12"}).total_bytes == 12


def test_a_mirror_that_names_such_a_length_is_left_for_the_next(tmp_path: Path) -> None:
    forged = ForgedHub()
    forged.add_publisher("clinic")
    release = forged.release("clinic", "tiny", "1", {"a.gguf": WEIGHTS})
    files = forged.files()
    with mirrors(files, files) as (odd, honest):

        def says(request: BaseHTTPRequestHandler) -> None:
            request.send_response(206)
            request.send_header("Content-Range", f"bytes 5-6/{'9' * 5000}")
            request.end_headers()

        odd.says[f"blobs/sha256-{release.first.hex}"] = says
        hub = hub_at(forged, tmp_path / "hub", odd, honest)
        hub.refresh()
        found = hub.fetch(release.first, tmp_path / "partial")
        assert found.read_bytes() == WEIGHTS
        assert odd.url in hub.left
