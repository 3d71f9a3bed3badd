"""A device whose ledger was cut back hears of it from its home, without asking."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from homestead import homestead
from two_processes import Place

from ondol import config as configuration
from ondol.homes import enrolment
from ondol.ledger import checkpoints
from ondol.ledger.entries import Entry
from ondol.ledger.verification import verify
from ondol.parts import Parts


def test_cut_ledger_is_known_the_next_time_home_is_heard_of(
    tmp_path: Path,
) -> None:
    with homestead(tmp_path) as home:
        with Parts(configuration.load()) as parts:
            homes, ledger = parts.oversight.homes, parts.ledger
            enrolment.join(homes, home.registry.invite(home.url, home.mine.fingerprint), "laptop")
            early = ledger.append(Entry("feedback", verdict="up"))
            with closing(ledger.connection()) as connection:
                kept = connection.execute("SELECT * FROM ledger_head").fetchone()[1:]
            assert early == kept[2].hex()
            for _ in range(30):
                ledger.append(Entry("feedback", verdict="down"))
            assert [one.available for one in homes.states()] == [True]
            assert verify(ledger).is_intact
        (known,) = home.registry.devices()
        assert known.ledger_size > 30
        with Parts(configuration.load()) as parts, closing(parts.ledger.connection()) as connection:
            for name in ("ledger_no_update", "ledger_no_delete"):
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("DELETE FROM ledger WHERE number > ?", (kept[0],))
            words = "count = ?, time = ?, hash = ?, public_key = ?, signature = ?"
            connection.execute(f"UPDATE ledger_head SET {words}", kept)
            checkpoints.write_file(parts.ledger.head_file, checkpoints.of_row(kept), force=True)
            assert verify(parts.ledger).is_intact
        status = Place(tmp_path / "ondol-home").run("home", "status")
        assert "ondol ledger verify" in status.stdout + status.stderr
        with Parts(configuration.load()) as parts:
            found = verify(parts.ledger).findings
            assert [(one.code, one.where) for one in found] == [("break", "home_ahead")]
            # The next time, it is not written down again.
            parts.oversight.homes.states()
            assert len(list(parts.ledger.entries(kind="break"))) == 1
