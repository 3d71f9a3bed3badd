"""Does a private byte leave? Thousands of adversarial pipelines against the real house
(``ondol.lab.redteam.egress``; ``ondol redteam`` runs fewer of the same).

--write keeps the result as results.json. See README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import date
from pathlib import Path

import httpx2

from ondol import __version__
from ondol.lab.redteam.egress.trial import trial

HERE = Path(__file__).parent
NO_NAMESPACE = 77


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first attack")
    parser.add_argument("--without", type=int, default=300, help="how many without the door too")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.count)
    about = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "httpx2": httpx2.__version__,
    }
    with tempfile.TemporaryDirectory() as name:
        try:
            found = trial(Path(name), numbers, without=arguments.without)
        except OSError as error:
            print(f"no network of its own: {error}", file=sys.stderr)
            sys.exit(NO_NAMESPACE)
    text = json.dumps(about | found, indent=2, ensure_ascii=False)
    print(text)
    if arguments.write:
        (HERE / "results.json").write_text(text + "\n", "utf-8")
    sys.exit(1 if found["leaks"] else 0)


if __name__ == "__main__":
    main()
