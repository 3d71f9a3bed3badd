"""What goes to the browser does what was written."""

from __future__ import annotations

import pytest

from ondol.server.web import lean
from ondol.server.web.files import STATIC

OURS = sorted(STATIC.glob("js/**/*.js"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("// @ts-check\nlet a = 1;\n", "let a = 1;\n"),
        ("/** about */\nexport const a = 1; // why\n", "export const a = 1; \n"),
        ("const a = /** @type {any} */ (b);", "const a =   (b);"),
        ("const a = 'http://x'; // y", "const a = 'http://x'; "),
        ('const a = "/* no */";', 'const a = "/* no */";'),
        (
            "const a = `// no\n  ${b /* c */}\n  /* no */`;",
            "const a = `// no\n  ${b  }\n  /* no */`;",
        ),
        ('const a = html`<p>${x ? html`<b>// no</b>` : ""}</p>`; // y', None),
        ("const r = /[/\"'`]\\/\\*/g; // y\n", "const r = /[/\"'`]\\/\\*/g; \n"),
        ("const a = b / c; // d\nconst e = f / g;\n", "const a = b / c; \nconst e = f / g;\n"),
        ("if (a) {\n    b();\n\n\n    c();\n}\n", "if (a) {\nb();\nc();\n}\n"),
        ("return /x/.test(y) // z", "return /x/.test(y) "),
        ("a\n/* two\nlines */\nb", "a\nb"),
        ("const a = `\\`// ${'}'}`;", "const a = `\\`// ${'}'}`;"),
        ("const a = `${{ b: 1 }.b}`; // c", "const a = `${{ b: 1 }.b}`; "),
    ],
)
def test_comments_go_and_nothing_else(source: str, expected: str | None) -> None:
    if expected is None:
        expected = source.replace("// y", "")
    assert lean.javascript(source) == expected


@pytest.mark.parametrize(
    "source", ["const a = 'x", "const a = `x", "const a = `${x", "/* x */ 'y\n'"]
)
def test_what_does_not_end_is_not_guessed(source: str) -> None:
    with pytest.raises(ValueError, match="does not end"):
        lean.javascript(source)


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.relative_to(STATIC).as_posix())
def test_a_second_time_nothing_changes(file) -> None:
    once = lean.javascript(file.read_text("utf-8"))
    assert lean.javascript(once) == once
    assert "@ts-check" not in once
