"""What each endpoint is asked before it is mutated, and what mutations are made of."""

from __future__ import annotations

from typing import Any

CHAT = "smollm2:135m"
EMBEDDING = "all-minilm:l6-v2"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
TURNS = [{"role": "user", "content": "What burns in the stove?"}]
# What each endpoint is asked before it is mutated.
SEEDS: list[tuple[str, str, Any]] = [
    ("POST", "/api/chat", {"model": CHAT, "messages": TURNS, "tools": [TOOL], "stream": False}),
    ("POST", "/api/chat", {"model": CHAT, "messages": TURNS, "format": "json", "think": False}),
    ("POST", "/api/generate", {"model": CHAT, "prompt": "x", "options": {"num_predict": 3}}),
    ("POST", "/api/generate", {"model": CHAT, "prompt": "x", "suffix": "y", "raw": True}),
    ("POST", "/api/embed", {"model": EMBEDDING, "input": ["a", "b"], "truncate": True}),
    ("POST", "/api/embeddings", {"model": EMBEDDING, "prompt": "a"}),
    ("POST", "/api/show", {"model": CHAT, "verbose": True}),
    ("POST", "/api/copy", {"source": CHAT, "destination": "other"}),
    ("DELETE", "/api/delete", {"model": "other"}),
    (
        "POST",
        "/api/create",
        {"model": "made", "from": CHAT, "system": "Be short.", "stream": False},
    ),
    ("POST", "/api/push", {"model": "made", "stream": False}),
    ("GET", "/api/tags", None),
    ("GET", "/api/ps", None),
    ("GET", "/api/version", None),
    ("HEAD", "/api/blobs/sha256:" + "0" * 64, None),
    (
        "POST",
        "/v1/chat/completions",
        {
            "model": CHAT,
            "messages": TURNS,
            "tools": [TOOL],
            "tool_choice": "auto",
            "logprobs": True,
        },
    ),
    (
        "POST",
        "/v1/chat/completions",
        {
            "model": CHAT,
            "messages": TURNS,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    ("POST", "/v1/completions", {"model": CHAT, "prompt": "x", "max_tokens": 5, "echo": True}),
    ("POST", "/v1/embeddings", {"model": EMBEDDING, "input": "a", "encoding_format": "base64"}),
    ("POST", "/v1/responses", {"model": CHAT, "input": "x", "instructions": "y", "store": True}),
    ("POST", "/v1/responses", {"model": CHAT, "input": TURNS, "stream": True}),
    ("GET", "/v1/responses/resp_x", None),
    ("POST", "/v1/rerank", {"model": "x", "query": "a", "documents": ["a", "b"]}),
    ("POST", "/v1/moderations", {"input": "x"}),
    ("GET", "/v1/models", None),
    ("GET", f"/v1/models/{CHAT}", None),
    ("POST", "/v1/messages", {"model": CHAT, "max_tokens": 9, "messages": TURNS, "system": "x"}),
    ("POST", "/v1/messages", {"model": CHAT, "max_tokens": 9, "messages": TURNS, "stream": True}),
    ("POST", "/v1/messages/count_tokens", {"model": CHAT, "messages": TURNS}),
    ("POST", "/ondol/v1/ask", {"question": "What burns?", "stream": False}),
    ("POST", "/ondol/v1/search", {"query": "stove"}),
    ("GET", "/ondol/v1/documents?limit=3", None),
    ("POST", "/ondol/v1/collections", {"name": "notes"}),
    ("POST", "/ondol/v1/conversations", {"mode": "chat", "title": "x"}),
    ("GET", "/ondol/v1/conversations?limit=5", None),
    ("POST", "/ondol/v1/memories", {"text": "The owner likes tea."}),
    ("GET", "/ondol/v1/ledger?limit=5", None),
    ("GET", "/ondol/v1/health", None),
    ("GET", "/ondol/v1/models", None),
    ("GET", "/", None),
    ("GET", "/openapi.json", None),
]
WORDS = (
    "", "x", "\0", "../../etc/passwd", "%00", "null", "true", "-1", "1e999", "NaN", "\ud800",
    "😀", "온돌", "ａ", "\u2028", "\u202e", "A" * 5000, "{{ x }}", "<|im_start|>system", "'; --",
    CHAT, f"{CHAT}+notes", "model:adapter", "data:image/png;base64,AAAA", "http://127.0.0.1:1/x",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e308, 5e-324)
MORE_FIELDS = (
    "content role images tool_calls n best_of seed stop logit_bias response_format text reasoning "
    "previous_response_id keep_alive context template files adapters parameters top_logprobs "
    "dimensions wanted tool_choice stream_options"
).split()
SPOILS = (b"NaN", b'"', b"{", b"]", b"\xff\xfe", b"\0", b"1e400")
ENDS = ("/", "//", "?", "?a=%FF", "/../x", "%2e%2e", "?limit=-1")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
HEADERS = (
    "Content-Type: text/plain",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: multipart/form-data; boundary=x",
    "Content-Encoding: gzip",
    "Content-Encoding: br",
    "Content-Encoding: zstd, gzip, deflate",
    "Accept: text/event-stream",
    "Accept-Language: ko;q=x, *;q=2",
    "Authorization: Bearer nonsense",
    "Authorization: Basic \x80\xff",
    "X-Api-Key: x",
    "Origin: null",
    "Origin: https://evil.example",
    "Origin: http://localhost:3000",
    "Sec-Fetch-Site: cross-site",
    "Range: bytes=0-",
    "If-None-Match: *",
    "Cookie: a=b",
    "Last-Event-ID: x",
    "anthropic-version: 2023-06-01",
    "OpenAI-Beta: responses=v1",
    "X-Forwarded-For: 1.2.3.4",
    "Accept: " + "x" * 8000,
)
