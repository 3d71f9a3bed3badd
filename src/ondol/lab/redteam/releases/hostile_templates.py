"""Chat templates as weapons: what they reach for, and how they try to hide it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ondol.lab.redteam.releases.makers import STRING, Case, entries, entry, gguf, one

ESCAPE = "CVE-2024-34359, CVE-2026-5760: server-side template injection by a chat template"
BOMB = "a template that never ends, or fills all memory"

UNSAFE = {
    "class": "{{ messages.__class__ }}",
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "builtins": "{{ raise_exception.__globals__['__builtins__']['eval']('1') }}",
    "import": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "joiner": "{{ joiner.__init__.__globals__.os.system('id') }}",
    "namespace": "{{ namespace.__init__.__globals__.os.system('id') }}",
    "self": "{{ self._TemplateReference__context }}",
    "self-init": "{{ self.__init__.__globals__ }}",
    "item": "{{ messages['__class__'] }}",
    "item-in-pieces": "{{ messages['__cla' ~ 'ss__']['__mro__'] }}",
    "attr": "{{ messages | attr('__class__') }}",
    "attr-in-pieces": "{{ messages | attr('__cla' ~ 'ss__') }}",
    "attr-in-hexadecimal": r"{{ messages | attr('\x5f\x5fclass\x5f\x5f') }}",
    "attr-in-unicode": r"{{ messages['\u005f\u005fclass\u005f\u005f'] }}",
    "map-attribute": "{{ messages | map(attribute='__class__') | list }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "format-in-pieces": "{{ ('{0._' ~ '_class_' ~ '_}').format(messages) }}",
    "format-map": "{{ ('{m._' ~ '_class_' ~ '_}').format_map({'m': messages}) }}",
    "generator": "{% set g = (x for x in []) %}",
    "code": "{{ raise_exception.__code__.co_consts }}",
    "closure": "{{ raise_exception.__closure__ }}",
    "unreached": "{% if false %}{{ ''.__class__.__base__ }}{% endif %}",
    "unreached-macro": "{% macro f() %}{{ lipsum.__globals__ }}{% endmacro %}{{ 'x' }}",
    "include": "{% include '/etc/passwd' %}",
    "import-template": "{% import 'x' as y %}",
    "from-import": "{% from 'x' import y %}",
    "extends": "{% extends 'x' %}",
    "request": "{{ request.application.__self__ }}",
    "url-for": "{{ url_for.__globals__ }}",
    "underscore": "{{ messages[0]._secret }}",
    "percent": "{{ '%0999999999d' % 1 }}",
    "power": "{{ 9 ** 999999999 }}",
    "power-of-powers": "{{ 9 ** (9 ** 9) }}",
    "repeats": "{{ 'a' * 999999999 }}",
    "repeats-a-list": "{{ [0] * 999999999 }}",
    "range": "{% for i in range(999999999) %}{% endfor %}",
}
BOMBS = {
    "loop": "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
    "says-too-much": "{% for a in range(99999) %}{{ 'a' * 100 }}{% endfor %}",
    "doubles": "{% set n = namespace(s='aaaaaaaa') %}"
    "{% for a in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s | length }}",
    "pads": "{{ 'a' | center(99999999999) }}",
    "recursion": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "nested": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "nested-lists": "{{ " + "[" * 50_000 + "]" * 50_000 + " }}",
    "nested-blocks": "{% if true %}" * 3000 + "{% endif %}" * 3000,
    "long": "{# " + "x" * 300_000 + " #}{{ 1 }}",
}
BROKEN = {
    "open": "{% for m in messages %}",
    "unknown": "{% unheard_of %}",
    "unclosed": "{{ messages",
    "empty-loop": "{% for %}",
    "filter": "{{ messages | no_such_filter }}",
    "always-fails": "{{ 1 / 0 }}",
    "undefined": "{{ nothing.at.all }}",
    "bidi": "{{ 'a\u202eb' }}",
    "zero": "{{ 'a' }}\0{% if",
    "escape": "{{ 'a' }}\x1b[2J",
    "tags": "{{ 'a\U000e0041\U000e0042' }}",
}


def cases() -> Iterator[Case]:
    for group, shape in ((UNSAFE, ESCAPE), (BOMBS, BOMB), (BROKEN, "")):
        for name, source in group.items():
            whole = gguf(entries(template=source))
            yield one(f"template-{name}", "model.gguf", whole, shape=shape)
    source = UNSAFE["subclasses"]
    for kind, named in (("tool_use", "tokenizer.chat_template.tool_use"), ("rag", "rag")):
        whole = gguf(entries(entry(f"tokenizer.chat_template.{named}", STRING, source)))
        yield one(f"template-of-{kind}", "model.gguf", whole, "template_unsafe", shape=ESCAPE)
    for name, content in {
        "string": {"chat_template": source},
        "list": {"chat_template": [{"name": "tool_use", "template": source}]},
    }.items():
        raw = json.dumps(content).encode()
        yield one(f"config-{name}", "tokenizer_config.json", raw, "template_unsafe", shape=ESCAPE)
    yield one("jinja", "chat_template.jinja", source.encode(), "template_unsafe", shape=ESCAPE)
