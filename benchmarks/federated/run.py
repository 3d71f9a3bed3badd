"""Five devices and a home, each a process of its own with a library of its own, on loopback:
joined with codes, over TLS, through the door, with secure aggregation and noise. What it takes, and
whether the adapter that they learn together is better than what each learns alone.

Everything goes through the command line, as people have it. Each device has the answers of other
topics (benchmarks/personal/persona.toml) and may teach all of them. Beside the shared adapter
stands each device's own: the same plan, as many steps, no clipping and no noise. At the end every
file of home's is searched for what the devices hold. See README.md; --write keeps results.json,
or, with --gate, where each device's own gate judges what was learned, gate.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "personal"))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import persona  # noqa: E402
import psutil  # noqa: E402
from house import circumstances  # noqa: E402

from ondol import config  # noqa: E402

DEVICES = 5
ONDOL = str(Path(sys.executable).with_name("ondol"))
PATIENCE_SECONDS = 7200
LOOK_SECONDS = 60
"""Between two looks at a gate: each is a process, and takes the gate its cores."""


class House:
    """One machine's worth of Ondol: a library of its own, the models of this one."""

    def __init__(self, root: Path, name: str) -> None:
        self.name, self.root = name, root / name
        models = config.load().models_dir
        if self.root.exists():
            return
        shutil.copytree(
            models,
            self.root / "data" / "models",
            symlinks=True,
            ignore=shutil.ignore_patterns("adapters", "locks"),
            copy_function=_link,
        )

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "ONDOL_HOME": str(self.root), "ONDOL_LANGUAGE": "en"}

    def ondol(self, *arguments: str) -> dict[str, Any]:
        """What a command says, as JSON."""
        done = subprocess.run(
            [ONDOL, *arguments, "--json"],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"{self.name}: ondol {' '.join(arguments)}: {done.stdout}{done.stderr}"
            )
        return json.loads(done.stdout or "{}")  # type: ignore[no-any-return]

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on until it is told to end; its lines of JSON are on its stdout."""
        log = (self.root / f"{arguments[0]}.log").open("w")
        with subprocess.Popen(
            [ONDOL, *arguments, "--json"],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.wait(60)
        log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--local-steps", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--strategy", default="ffa")
    parser.add_argument("--clip-norm", type=float, default=8.0)
    parser.add_argument("--noise-multiplier", type=float, default=0.001)
    parser.add_argument(
        "--folder", type=Path, help="keep everything here; go on with what is there"
    )
    parser.add_argument("--gate", action="store_true", help="have each device judge for itself")
    parser.add_argument("--without-alone", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    model = asked.model or config.load()["models.chat"]
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="ondol-federated-")
        place = asked.folder or Path(stack.enter_context(temporary))
        home = House(place, "home")
        devices = [House(place, f"device-{number}") for number in range(1, DEVICES + 1)]
        kept = place / "learned.json"
        if not kept.exists():
            found = circumstances(model) | {"asked": {k: str(v) for k, v in vars(asked).items()}}
            found |= learn(home, devices, model, asked)
            kept.write_text(json.dumps(found), "utf-8")
        found = json.loads(kept.read_text("utf-8")) | {"home_holds": searched(home)}
        if not asked.without_alone:
            found |= compared(home, devices, model)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    if asked.write:
        name = "gate.json" if asked.gate else "results.json"
        (HERE / name).write_text(text + "\n", "utf-8")


def learn(
    home: House, devices: list[House], model: str, asked: argparse.Namespace
) -> dict[str, Any]:
    """The rounds, from the invites to the last one."""
    created = home.ondol(
        *("home", "federation", "create", "family", "--model", model, "--task", "style"),
        *("--rounds", str(asked.rounds), "--local-steps", str(asked.local_steps)),
        *("--batch-size", str(asked.batch_size), "--learning-rate", str(asked.learning_rate)),
        *("--strategy", asked.strategy, "--clip-norm", str(asked.clip_norm)),
        *("--noise-multiplier", str(asked.noise_multiplier), "--min-clients", "3"),
    )
    share(devices)
    with ExitStack() as stack:
        stack.enter_context(home.running("home", "--host", "127.0.0.1", "--port", "0"))
        wait_for(home.root / "state" / "home.json")
        for device in devices:
            code = home.ondol("home", "federation", "invite", "family", "--device", device.name)
            sources = device.ondol("feedback", "sources")["sources"]
            teach = [word for one in sources for word in ("--source", one["id"])]
            device.ondol("join", code["code"], *teach, "--yes")
        preview = devices[0].ondol("federation", "preview")
        for device in devices:
            stack.enter_context(device.running("federation", "run", "--look-seconds", "2"))
        began = time.monotonic()
        rounds, most = [], 0
        start = ("home", "federation", "start", "family", "--host", "127.0.0.1")
        with home.running(*start) as coordinator:
            assert coordinator.stdout is not None
            for line in coordinator.stdout:
                said = json.loads(line)
                most = max(most, memory())
                if said.get("event") == "finished":
                    rounds.append(said)
                    told = f"{len(said['clients'])} devices, {said['seconds']:.0f} s"
                    print(f"round {said['number']}: {told}", said.get("failed") or "", flush=True)
        seconds = time.monotonic() - began
        if asked.gate:
            wait_until_adopted(devices)
        status = [device.ondol("federation", "status") for device in devices]
    return {
        "plan": created["plan"],
        "length": preview["length"],
        "seconds": round(seconds, 1),
        "rounds": rounds,
        "bytes_a_client_and_round": traffic(rounds, preview["length"]),
        "epsilon": preview["epsilon"],
        "rss_mib_of_all_processes": most >> 20,
        "ledger_bytes_out": [ledger(device) for device in devices],
        "adopted": [one["federations"][0]["verdict"] for one in status],
    }


def share(devices: list[House]) -> None:
    """Each device gets a fifth of the feedback, by topic: what the owners ask about differs."""
    feedback = sorted(persona.feedback(), key=lambda one: (one.topic, one.language, one.prompt))
    for number, device in enumerate(devices):
        mine = feedback[len(feedback) * number // DEVICES : len(feedback) * (number + 1) // DEVICES]
        file = device.root / "feedback.jsonl"
        turns = [
            [{"role": turn.role, "content": turn.content} for turn in one.messages]
            + [{"role": "assistant", "content": one.wanted}]
            for one in mine
        ]
        file.write_text("\n".join(json.dumps({"messages": one}) for one in turns), "utf-8")
        device.ondol("feedback", "import", str(file), "--personal", "keep", "--yes")


def traffic(rounds: list[dict[str, Any]], length: int) -> dict[str, Any]:
    """Beside FedAvg of both factors in float32, up and down. Of this rank both factors together
    have about twice as many numbers as the one that FFA sends."""
    taken = [one for one in rounds if one["clients"]]
    count = sum(len(one["clients"]) for one in taken) or 1
    up = sum(one["bytes_up"] for one in taken) / count
    down = sum(one["bytes_down"] for one in taken) / count
    return {
        "up": round(up),
        "down": round(down),
        "numbers": length,
        "bits_a_number": up * 8 / length,
    }


def ledger(device: House) -> int:
    """What left this device for the federation, as its own ledger says."""
    entries = device.ondol("ledger", "--limit", "100000").get("entries", [])
    return sum(
        one.get("bytes_out") or 0
        for one in entries
        if one.get("purpose") == "federation" and one.get("kind") == "egress"
    )


def searched(home: House) -> dict[str, int]:
    """How many of the devices' texts stand in any file of home's: none."""
    texts = [one.prompt for one in persona.feedback()] + [
        persona.body(one.wanted, one.language) for one in persona.feedback()
    ]
    held = b"".join(
        file.read_bytes()
        for file in home.root.rglob("*")
        if file.is_file() and "models" not in file.parts
    )
    return {"texts": len(texts), "found": sum(text.encode() in held for text in texts)}


def compared(home: House, devices: list[House], model: str) -> dict[str, Any]:
    """Held-out losses (nats a token): the base's, the shared adapter's, and what each device would
    have learned alone with as many steps."""
    from ondol.federated.coordinating.coordinator import Coordinator
    from ondol.federated.coordinating.in_process import InProcessGrid
    from ondol.federated.learning.layout import layout_of
    from ondol.federated.learning.local import LocalLearning
    from ondol.federated.learning.strategies import strategy
    from ondol.home import coordinating
    from ondol.household import consent
    from ondol.household.federations import Federations
    from ondol.parts import Parts

    lessons = []
    for device in devices:
        with patch.dict(os.environ, device.environ), Parts(config.load()) as parts:
            with Federations.open() as kept:
                one = kept.get("")
            lessons.append(consent.lesson(parts, one))
            base = parts.store.path(parts.store.get(model))
            plan = one.plan
            layout = layout_of(plan, base)
    with patch.dict(os.environ, home.environ):
        shared = Coordinator(
            coordinating.folder(plan.federation),
            plan,
            InProcessGrid({}),
            start=lambda: layout.begin(plan.seed),
            strategy=strategy(plan, layout),
            roster=dict,
        ).vector()
        learning = LocalLearning(base)
        begin = layout.begin(plan.seed)
        held_out = [one.held_out for one in lessons]
        # Alone nobody clips.
        alone = replace(plan, clip_norm=1e9, noise_multiplier=0.0)
        solos = []
        for lesson in lessons:
            vector = begin
            for number in range(1, plan.rounds + 1):
                with tempfile.TemporaryDirectory() as folder:
                    update = learning.train(alone, number, vector, lesson.learned, Path(folder))
                vector = layout.applied(vector, update.delta, number)
            solos.append(losses(learning, plan, vector, held_out))
            print(f"alone: {solos[-1]['all']:.4f}", flush=True)
    return {
        "examples": [[len(one.learned), len(one.held_out)] for one in lessons],
        "loss_base": losses(learning, plan, begin, held_out),
        "loss_shared": losses(learning, plan, shared, held_out),
        "loss_alone": solos,
    }


def losses(learning: Any, plan: Any, vector: Any, held_out: list[Any]) -> dict[str, Any]:
    found = [learning.evaluate(plan, vector, examples) for examples in held_out]
    return {
        "all": round(sum(loss for loss, _ in found) / sum(count for _, count in found), 4),
        "each": [round(loss / count, 4) for loss, count in found],
    }


def wait_for(file: Path) -> None:
    until = time.monotonic() + 120
    while not file.exists():
        if time.monotonic() > until:
            raise SystemExit(f"{file.name} did not come")
        time.sleep(0.1)


def wait_until_adopted(devices: list[House]) -> None:
    """Each device's gate judges the shared adapter by itself."""
    until = time.monotonic() + PATIENCE_SECONDS
    for device in devices:
        while device.ondol("federation", "status")["federations"][0]["verdict"] is None:
            if time.monotonic() > until:
                return
            time.sleep(LOOK_SECONDS)


def memory() -> int:
    """Resident bytes of everything that runs for this benchmark."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
        return target
    except OSError:
        return str(shutil.copy2(source, target))


if __name__ == "__main__":
    main()
