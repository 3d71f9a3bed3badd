"""Copies of a GGUF with other metadata: the same weights under another chat template, or with
tokens declared that the original does not declare.

So that what only other families' models do (native tools, thinking, fill-in-the-middle) is tested
with a model that really runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# Hermes and Qwen 2.5 describe tools and call them like this; the words are ours.
HERMES = """\
{%- if tools %}<|im_start|>system
{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}

{% endif %}# Tools

You may call functions. Their signatures are within <tools></tools>:
<tools>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}</tools>

For each call, return a JSON object within <tool_call></tool_call>:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% elif messages[0]['role'] == 'system' %}<|im_start|>system
{{ messages[0]['content'] }}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message['role'] == 'tool' %}<|im_start|>user
<tool_response>
{{ message['content'] }}
</tool_response><|im_end|>
{% elif message['role'] == 'assistant' %}<|im_start|>assistant
{% if message['content'] %}{{ message['content'] }}{% endif %}
{%- if message['tool_calls'] %}{% for call in message['tool_calls'] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% elif message['role'] != 'system' or not loop.first %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

# Qwen 3 thinks before it answers, unless the prompt closes an empty thought for it.
THINKING = HERMES.replace(
    "<|im_start|>assistant\n{% if message['content'] %}",
    "<|im_start|>assistant\n{% if message['reasoning_content'] %}<think>\n"
    "{{ message['reasoning_content'] }}\n</think>\n\n{% endif %}{% if message['content'] %}",
) + (
    "{%- if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}"
)

# Llama 3 style: a call is a bare JSON object, with "parameters".
BARE_JSON = """\
{%- if tools %}<|im_start|>system
Call a function by answering {"name": function name, "parameters": its arguments}.
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['tool_calls'] %}{% for call in message['tool_calls'] %}
{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}
{% endfor %}{% else %}{{ message['content'] }}{% endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def copy_with(
    source: Path,
    target: Path,
    *,
    template: str | None = None,
    token_ids: Mapping[str, int] | None = None,
) -> Path:
    """``target``, a copy of the GGUF ``source`` with ``template``, and with ``token_ids``
    ("fim_pre") declared as ``tokenizer.ggml.<name>_token_id``."""
    import gguf
    from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    new = {}
    if template is not None:
        new["tokenizer.chat_template"] = MetadataDetails(gguf.GGUFValueType.STRING, template)
    for name, token in (token_ids or {}).items():
        key = f"tokenizer.ggml.{name}_token_id"
        new[key] = MetadataDetails(gguf.GGUFValueType.UINT32, token)
    writer = gguf.GGUFWriter(target, arch=architecture, endianess=reader.endianess)
    copy_with_new_metadata(reader, writer, new, [])
    return target
