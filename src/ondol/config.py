"""Config: defaults < config.toml < ONDOL_* environment < flags; it says where each value came from.

``SETTINGS`` is the one table of everything that can be set; the CLI, the docs test and the server
read it. Raises ``ConfigError`` naming the setting, the bad value and what would be accepted.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ondol import paths
from ondol.errors import ConfigError
from ondol.i18n import t

Value = str | int | float | bool | tuple[str, ...]
Source = Literal["default", "file", "environment", "flag"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set. Its type is its default's type."""

    name: str
    env: str
    default: Value
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        return t(f"config.{self.name.replace('.', '_')}")


CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
"""What the keys and values of a prompt may be kept as, the largest first."""

SETTINGS: tuple[Setting, ...] = (
    Setting("language", "ONDOL_LANGUAGE", "auto", choices=("auto", "en", "ko")),
    Setting("offline", "ONDOL_OFFLINE", False),
    Setting("server.host", "ONDOL_HOST", "127.0.0.1"),
    Setting("server.port", "ONDOL_PORT", 11435, 0, 65535),
    Setting("server.ollama_port", "ONDOL_OLLAMA_PORT", False),
    Setting("server.origins", "ONDOL_ORIGINS", ()),
    Setting("server.hosts", "ONDOL_HOSTS", ()),
    Setting("server.api_key", "ONDOL_API_KEY", ""),
    Setting("server.tls", "ONDOL_TLS", False),
    Setting("server.tls_cert", "ONDOL_TLS_CERT", ""),
    Setting("server.tls_key", "ONDOL_TLS_KEY", ""),
    Setting("server.phone", "ONDOL_PHONE", False),
    Setting("server.phone_port", "ONDOL_PHONE_PORT", 11437, 0, 65535),
    Setting("server.phone_address", "ONDOL_PHONE_ADDRESS", ""),
    Setting("server.max_body_mb", "ONDOL_MAX_BODY_MB", 32, 1, 4096),
    Setting("server.responses_days", "ONDOL_RESPONSES_DAYS", 30, 0, 3650),
    Setting("models.directory", "ONDOL_MODELS", ""),
    Setting("models.chat", "ONDOL_CHAT_MODEL", "smollm2:135m"),
    Setting("models.embedding", "ONDOL_EMBEDDING_MODEL", "all-minilm:l6-v2"),
    Setting("models.rerank", "ONDOL_RERANK_MODEL", ""),
    Setting("models.speech", "ONDOL_SPEECH_MODEL", ""),
    Setting("engine.runtime", "ONDOL_RUNTIME", "auto"),
    Setting("engine.num_ctx", "ONDOL_CONTEXT_LENGTH", 4096, 256, 1_048_576),
    Setting("engine.num_parallel", "ONDOL_NUM_PARALLEL", 2, 1, 64),
    Setting("engine.threads", "ONDOL_THREADS", 0, 0, 1024),
    Setting("engine.keep_alive", "ONDOL_KEEP_ALIVE", "5m"),
    Setting("engine.max_loaded_models", "ONDOL_MAX_LOADED_MODELS", 3, 1, 64),
    Setting("engine.max_queue", "ONDOL_MAX_QUEUE", 512, 1, 100_000),
    Setting("engine.start_timeout_seconds", "ONDOL_LOAD_TIMEOUT", 300, 1, 86_400),
    Setting("engine.schema_timeout_seconds", "ONDOL_SCHEMA_TIMEOUT", 120, 1, 86_400),
    Setting("engine.gpu_layers", "ONDOL_GPU_LAYERS", -1, -1, 10_000),
    Setting("engine.cache_type", "ONDOL_CACHE_TYPE", "auto", choices=("auto", *CACHE_TYPES)),
    Setting("engine.states_mb", "ONDOL_STATES_MB", 512, 0, 1_048_576),
    Setting("engine.drafts", "ONDOL_DRAFTS", "auto", choices=("auto", "model", "off")),
    Setting("retrieval.limit", "ONDOL_SEARCH_LIMIT", 10, 1, 1000),
    Setting("retrieval.quotes", "ONDOL_QUOTES", 2, 1, 10),
    Setting("retrieval.evidence_tokens", "ONDOL_EVIDENCE_TOKENS", 160, 50, 100_000),
    Setting("retrieval.vectors", "ONDOL_VECTORS", "local"),
    Setting("retrieval.exact_chunks", "ONDOL_EXACT_CHUNKS", 200_000, 0, 100_000_000),
    Setting("retrieval.max_file_mb", "ONDOL_MAX_FILE_MB", 64, 1, 4096),
    Setting("retrieval.parse_seconds", "ONDOL_PARSE_SECONDS", 60, 1, 86_400),
    Setting("retrieval.parse_memory_mb", "ONDOL_PARSE_MEMORY_MB", 1024, 256, 1_048_576),
    Setting("memory.prompt_tokens", "ONDOL_MEMORY_TOKENS", 200, 0, 100_000),
    Setting("packs.glossary_tokens", "ONDOL_GLOSSARY_TOKENS", 200, 0, 100_000),
    Setting("answer.max_tokens", "ONDOL_ANSWER_TOKENS", 96, 1, 100_000),
    Setting("answer.adapter", "ONDOL_ANSWER_ADAPTER", "grounding"),
    Setting("routing.target_error", "ONDOL_TARGET_ERROR", 0.15, 0.005, 0.9),
    Setting(
        "routing.question_sensitivity",
        "ONDOL_QUESTION_SENSITIVITY",
        "trusted",
        choices=("private", "trusted", "public"),
    ),
    Setting("routing.redact", "ONDOL_REDACT", False),
    Setting("routing.answer_krw", "ONDOL_ANSWER_KRW", 100.0, 0, 1_000_000),
    Setting("routing.second_krw", "ONDOL_SECOND_KRW", 1.0, 0, 1_000_000),
    Setting("routing.home_accuracy", "ONDOL_HOME_ACCURACY", 0.9, 0, 1),
    Setting("routing.abstain_below", "ONDOL_ABSTAIN_BELOW", 0.0, 0, 1),
    Setting("ledger.tariff_krw_per_kwh", "ONDOL_TARIFF_KRW_PER_KWH", 228.6, 0, 10_000),
    Setting("ledger.krw_per_usd", "ONDOL_KRW_PER_USD", 1422.16, 1, 1_000_000),
    Setting("ledger.cloud_model", "ONDOL_CLOUD_MODEL", "gpt-4o-mini"),
    Setting("ledger.watts_per_core", "ONDOL_WATTS_PER_CORE", 8.0, 0, 1000),
    Setting("ledger.hardware_price_krw", "ONDOL_HARDWARE_PRICE_KRW", 0.0, 0, 10_000_000_000),
    Setting("ledger.hardware_years", "ONDOL_HARDWARE_YEARS", 4.0, 0.1, 100),
    Setting("ledger.hardware_hours_per_day", "ONDOL_HARDWARE_HOURS", 8.0, 0.1, 24),
    Setting("home.host", "ONDOL_HOME_HOST", "0.0.0.0"),
    Setting("home.port", "ONDOL_HOME_PORT", 11436, 0, 65535),
    Setting("home.model", "ONDOL_HOME_MODEL", ""),
    Setting("home.upstreams", "ONDOL_HOME_UPSTREAMS", ()),
    Setting("home.upstream_api_key", "ONDOL_HOME_UPSTREAM_API_KEY", ""),
    Setting("home.parallel", "ONDOL_HOME_PARALLEL", 0, 0, 1024),
    Setting("home.max_queue", "ONDOL_HOME_MAX_QUEUE", 64, 1, 10_000),
    Setting("home.requests_per_day", "ONDOL_HOME_REQUESTS_PER_DAY", 0, 0, 1_000_000_000),
    Setting("home.tokens_per_day", "ONDOL_HOME_TOKENS_PER_DAY", 0, 0, 1_000_000_000_000),
    Setting("home.timeout_seconds", "ONDOL_HOME_TIMEOUT", 60, 1, 86_400),
    Setting("home.hub", "ONDOL_HOME_HUB", ""),
    Setting("home.hub_port", "ONDOL_HOME_HUB_PORT", 11438, 0, 65535),
    Setting("home.hub_upstream", "ONDOL_HOME_HUB_UPSTREAM", ""),
    Setting("home.hub_allow", "ONDOL_HOME_HUB_ALLOW", ()),
    Setting("update.check", "ONDOL_UPDATE_CHECK", False),
    Setting("update.channel", "ONDOL_UPDATE_CHANNEL", "stable", choices=("stable", "beta")),
    Setting("update.keep", "ONDOL_UPDATE_KEEP", 2, 0, 100),
    Setting("update.limit_bytes_per_second", "ONDOL_UPDATE_LIMIT", 0, 0, 1_000_000_000_000),
)

_BY_NAME = {s.name: s for s in SETTINGS}


class Config:
    """All settings with their values and where each came from.

    ``config["engine.num_ctx"]`` is the value; ``config.source("engine.num_ctx")`` its origin.
    """

    def __init__(
        self,
        values: Mapping[str, tuple[Value, Source]],
        read_again: Callable[[], Config] | None = None,
        file: Path | None = None,
    ) -> None:
        self._values = dict(values)
        self._read_again = read_again
        self.file = file or paths.config_file()

    def __getitem__(self, name: str) -> Any:
        return self._values[setting(name).name][0]

    def source(self, name: str) -> Source:
        return self._values[setting(name).name][1]

    def with_flags(self, flags: Mapping[str, object]) -> Config:
        """A copy in which every flag that is not None wins."""
        given = {
            k: (parse(setting(k), v, t("config.a_flag")), "flag")
            for k, v in flags.items()
            if v is not None
        }
        return Config({**self._values, **given}, self._read_again, self.file)  # type: ignore[dict-item]

    def fresh(self) -> Config:
        """What the file and the environment say now, under the same flags."""
        now = self._read_again() if self._read_again else self
        flags = {name: held for name, held in self._values.items() if held[1] == "flag"}
        return Config({**now._values, **flags}, self._read_again, self.file)

    def take(self, newer: Config, names: Iterable[str]) -> None:
        """Have ``newer``'s values of these settings from now on, wherever this object is."""
        self._values.update({name: newer._values[name] for name in names})

    @property
    def models_dir(self) -> Path:
        return (
            Path(self["models.directory"]).expanduser()
            if self["models.directory"]
            else paths.models_dir()
        )


def load(*, environ: Mapping[str, str] | None = None, file: Path | None = None) -> Config:
    """Read the configuration of this machine and user."""
    environ = os.environ if environ is None else environ
    file = paths.config_file() if file is None else file
    values: dict[str, tuple[Value, Source]] = {s.name: (s.default, "default") for s in SETTINGS}
    for name, raw in read_file(file).items():
        values[name] = (parse(setting(name, where=str(file)), raw, str(file)), "file")
    for s in SETTINGS:
        if environ.get(s.env):
            values[s.name] = (parse(s, environ[s.env], s.env), "environment")
    return Config(values, lambda: load(environ=environ, file=file), file)


def setting(name: str, where: str = "") -> Setting:
    """The setting called ``name``; raises ConfigError with the nearest names."""
    try:
        return _BY_NAME[name]
    except KeyError:
        import difflib

        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = t("config.did_you_mean", name=near[0]) if near else t("config.list_hint")
        raise ConfigError(t("config.unknown", name=name, where=where or "config"), hint) from None


def read_file(file: Path) -> dict[str, object]:
    """The settings a config.toml holds, by dotted name; empty when there is no file."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(
            t("config.unreadable", file=file, reason=error), t("config.unreadable_hint")
        ) from error
    flat: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{inner}": v for inner, v in value.items()})
        else:
            flat[key] = value
    return flat


def parse(s: Setting, raw: object, where: str) -> Value:
    """``raw`` (a TOML value, an environment string or a flag) as the setting's type."""
    try:
        value = _convert(s, raw)
    except (TypeError, ValueError):
        raise _bad(s, raw, where, _expected(s)) from None
    if s.choices and value not in s.choices:
        raise _bad(s, raw, where, ", ".join(s.choices))
    if isinstance(value, int | float) and not isinstance(value, bool):
        if (s.minimum is not None and value < s.minimum) or (
            s.maximum is not None and value > s.maximum
        ):
            raise _bad(s, raw, where, f"{s.minimum:.0f}–{s.maximum:.0f}")
    return value


def _convert(s: Setting, raw: object) -> Value:
    if isinstance(s.default, bool):
        return _boolean(raw)
    if isinstance(s.default, tuple):
        items = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(items, list | tuple):
            raise TypeError
        return tuple(str(i).strip() for i in items if str(i).strip())
    if isinstance(raw, bool) or raw is None:
        raise TypeError
    value = type(s.default)(str(raw))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(raw)
    return value


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(raw)


def _expected(s: Setting) -> str:
    if isinstance(s.default, bool):
        return "true / false"
    if isinstance(s.default, tuple):
        return t("config.a_list")
    return t("config.a_number") if isinstance(s.default, int | float) else t("config.a_text")


def _bad(s: Setting, raw: object, where: str, expected: str) -> ConfigError:
    # A secret must not reach a terminal or a log, not even a wrong one.
    shown = "…" if s.name.endswith("api_key") else raw
    return ConfigError(
        t("config.bad_value", name=s.name, value=shown, where=where),
        t("config.expected", expected=expected),
    )
