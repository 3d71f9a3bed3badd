// @ts-check
// How each program is pointed here: the snippet for this server's address, key and model, and the
// families of User-Agent that it may come as. Knows no page.

/** @typedef {{origin: string, key: string, model: string, hasKey: boolean}} Here */
/** @typedef {{name: string, title: string, families: string[], where?: string, snippet?: (here: Here) => string, extra?: string}} Program */

/** @param {Here} here */
const base = (here) => `${here.origin}/v1`;

/** @type {Program[]} */
export const PROGRAMS = [
  {
    name: "continue",
    title: "Continue",
    families: ["continue", "openai-node", "node"],
    where: "~/.continue/config.yaml",
    snippet: (here) => `name: Ondol
version: 1.0.0
schema: v1
models:
  - name: Ondol
    provider: openai
    model: ${here.model}
    apiBase: ${base(here)}
    apiKey: ${here.key}
    roles: [chat, edit, apply]`,
  },
  { name: "cursor", title: "Cursor", families: ["cursor"] },
  {
    name: "open_webui",
    title: "Open WebUI",
    families: ["open-webui", "aiohttp"],
    where: "bash",
    // Its own tools, which come with every chat, are longer than the context of a small model.
    snippet: (here) => `pip install open-webui
OPENAI_API_BASE_URL=${base(here)} \\
OPENAI_API_KEY=${here.key} \\
DEFAULT_MODEL_METADATA='{"capabilities": {"builtin_tools": false}}' \\
open-webui serve`,
  },
  {
    name: "n8n",
    title: "n8n",
    families: ["n8n", "openai-node", "ollama-js", "axios", "langchain"],
    snippet: (here) => `Credential   OpenAI
API Key      ${here.key}
Base URL     ${base(here)}
Model        ${here.model}`,
  },
  {
    name: "llm",
    title: "llm",
    families: ["llm", "openai-python"],
    where: "bash",
    snippet: (here) => `cat >> "$(dirname "$(llm logs path)")/extra-openai-models.yaml" <<'END'
- model_id: ondol
  model_name: ${here.model}
  api_base: ${base(here)}${here.hasKey ? "\n  api_key_name: ondol" : ""}
END
${here.hasKey ? `llm keys set ondol --value ${here.key}\n` : ""}llm -m ondol "Hello"`,
  },
  {
    name: "claude_code",
    title: "Claude Code",
    families: ["claude-code"],
    where: "bash",
    snippet: (here) => `ANTHROPIC_BASE_URL=${here.origin} \\
ANTHROPIC_AUTH_TOKEN=${here.key} \\
ANTHROPIC_MODEL=${here.model} \\
ANTHROPIC_DEFAULT_HAIKU_MODEL=${here.model} \\
CLAUDE_CODE_MAX_CONTEXT_TOKENS=32768 \\
claude`,
  },
  { name: "mcp", title: "MCP", families: [] },
  {
    name: "openai",
    title: "Python · openai",
    families: ["openai-python"],
    where: "python",
    snippet: (here) => `from openai import OpenAI

client = OpenAI(base_url="${base(here)}", api_key="${here.key}")
reply = client.chat.completions.create(
    model="${here.model}",
    messages=[{"role": "user", "content": "Hello"}],
)
print(reply.choices[0].message.content)`,
  },
  {
    name: "anthropic",
    title: "Python · anthropic",
    families: ["anthropic-python"],
    where: "python",
    snippet: (here) => `from anthropic import Anthropic

client = Anthropic(base_url="${here.origin}", api_key="${here.key}")
reply = client.messages.create(
    model="${here.model}",
    max_tokens=500,
    messages=[{"role": "user", "content": "Hello"}],
)
print(reply.content[0].text)`,
  },
  {
    name: "ollama",
    title: "Python · ollama",
    families: ["ollama-python"],
    where: "python",
    snippet: (here) => `from ollama import Client

client = Client(host="${here.origin}"${here.hasKey ? `, headers={"Authorization": "Bearer ${here.key}"}` : ""})
reply = client.chat(
    model="${here.model}",
    messages=[{"role": "user", "content": "Hello"}],
)
print(reply.message.content)`,
  },
  {
    name: "curl",
    title: "curl",
    families: ["curl"],
    where: "bash",
    snippet: (here) => `curl ${base(here)}/chat/completions \\${here.hasKey ? `\n  -H "Authorization: Bearer ${here.key}" \\` : ""}
  -d '{"model": "${here.model}", "messages": [{"role": "user", "content": "Hello"}]}'`,
  },
];

/** A key to show: nobody reads it over a shoulder. @param {string} key */
export const masked = (key) => "•".repeat(Math.min(12, Math.max(6, key.length)));
