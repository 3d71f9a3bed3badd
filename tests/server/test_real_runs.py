"""A conversation with the real default model: quotes, an answer, and the rest of a cut one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conversing import begin, call, messages, read, run
from house import House, serving

from ondol.config import Config
from ondol.parts import Parts


def test_a_conversation_about_a_dropped_file(config: Config, tmp_path: Path) -> None:
    with Parts(config) as parts, serving(parts) as port:
        pool: Any = parts.pool
        house = House(parts, pool, port)
        id = begin(house, mode="documents")
        text = b"The boiler in the cellar was serviced in March by Kim. Rent is 400 euros a month."
        with house.client() as client:
            path = f"/ondol/v1/conversations/{id}/attachments"
            client.post(path, params={"name": "house.txt"}, content=text)
        begun = run(house, id, "When was the boiler serviced?")
        events = read(house, begun["run"])
        assert "March" in events[0][2]["quotes"][0]["text"]
        first = messages(house, id)[1]
        assert "March" in first["content"] and first["answer"]["citations"] == [1]
        assert first["answer"]["confidence"]["probability"] is not None
        told = run(
            house, id, "Tell me a story about a fox.", mode="chat", options={"max_tokens": 8}
        )
        cut = read(house, told["run"])[-1][2]["message"]
        assert cut["answer"]["finish_reason"] == "length"
        how = {"continue": cut["id"], "mode": "chat", "options": {"max_tokens": 8}}
        whole = read(house, run(house, id, "", **how)["run"])[-1][2]["message"]
        assert whole["content"].startswith(cut["content"])
        assert len(whole["content"]) > len(cut["content"])
        assert call(house, "DELETE", f"conversations/{id}").json()["erased"]
