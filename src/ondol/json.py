"""The public JSON of answers, quotes, hits, models, adapters: one shape for CLI and HTTP API."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ondol.types import (
    Answer,
    Confidence,
    Escalation,
    Evidence,
    Hit,
    Quote,
    Sensitivity,
    Usage,
)

if TYPE_CHECKING:
    from ondol.models.adapters import Adapter
    from ondol.models.store import Model


def answer_json(answer: Answer) -> dict[str, Any]:
    """What ``ondol ask --json`` prints and ``/ondol/v1/ask`` ends with."""
    return {
        "answer": answer.text,
        "quotes": [quote_json(quote) for quote in answer.quotes],
        "citations": list(answer.citations),
        "confidence": confidence_json(answer.confidence),
        "route": answer.route.value,
        "reasons": list(answer.reasons),
        "model": answer.model,
        "usage": usage_json(answer.usage),
        "seconds": {
            "retrieve": round(answer.seconds.retrieve, 4),
            "first_token": _rounded(answer.seconds.first_token),
            "total": round(answer.seconds.total, 4),
        },
        "sensitivity": sensitivity_word(answer.sensitivity),
        "support": [asdict(one) for one in answer.support],
        "draft": answer_json(answer.draft) if answer.draft else None,
        "cost": asdict(answer.cost) if answer.cost else None,
        "ledger_id": answer.ledger_id,
    }


def verdict_json(answer: Answer) -> dict[str, Any]:
    """What a completion of any dialect says about itself when it is asked to."""
    whole = answer_json(answer)
    names = ("confidence", "route", "reasons", "sensitivity", "cost", "ledger_id")
    return {name: whole[name] for name in names}


def escalation_json(escalation: Escalation) -> dict[str, Any]:
    """That home is being asked, and what the device would have said."""
    return {
        "draft": answer_json(escalation.draft) if escalation.draft else None,
        "home": escalation.home,
        "reasons": list(escalation.reasons),
    }


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """What is known before a model has said anything."""
    return {
        "quotes": [quote_json(quote) for quote in evidence.quotes],
        "sensitivity": sensitivity_word(evidence.sensitivity),
        "is_listing": evidence.is_listing,
    }


def quote_json(quote: Quote) -> dict[str, Any]:
    return {
        "number": quote.number,
        "text": quote.text,
        "source": quote.source,
        "start": quote.start,
        "end": quote.end,
        "page": quote.page,
        "score": round(quote.score, 4),
        "also_in": list(quote.also_in),
        "sensitivity": sensitivity_word(quote.sensitivity),
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    chunk = hit.chunk
    return {
        "rank": hit.rank,
        "source": chunk.source,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "score": round(hit.score, 4),
        "text": chunk.text,
        "heading": chunk.heading,
        "also_in": list(hit.also_in),
        "collection": chunk.collection,
        "sensitivity": sensitivity_word(chunk.sensitivity),
    }


def labelled_json(record: Any) -> dict[str, Any]:
    """A document, a collection or a limit: its fields, with sensitivities in words."""
    return {
        name: sensitivity_word(value) if isinstance(value, Sensitivity) else value
        for name, value in asdict(record).items()
    }


def sensitivity_word(sensitivity: Sensitivity) -> str:
    """``private``, ``trusted`` or ``public``."""
    return sensitivity.name.lower()


def sensitivity_of(word: str) -> Sensitivity:
    """What ``sensitivity_word`` wrote; what it never wrote is private."""
    return Sensitivity.__members__.get(word.upper(), Sensitivity.PRIVATE)


def model_json(model: Model) -> dict[str, Any]:
    """A model as ``ondol list --json`` and ``GET /ondol/v1/models`` show it."""
    return {
        "name": model.name,
        "kind": model.kind,
        "format": model.format,
        "digest": model.digest,
        "size_bytes": model.size_bytes,
        "modified_at": model.modified_at.isoformat(),
        "family": model.family,
        "parameters": model.parameters,
        "quantization": model.quantization,
        "context_length": model.context_length,
        "embedding_length": model.embedding_length,
        "licence": model.licence,
        "source": model.source,
        "capabilities": list(model.capabilities),
    }


def adapter_json(adapter: Adapter) -> dict[str, Any]:
    """An adapter as ``ondol adapters list --json`` and ``GET /ondol/v1/adapters`` show it."""
    return {
        "name": adapter.full_name,
        "adapter": adapter.name,
        "model": adapter.model,
        "digest": adapter.digest,
        "base_digest": adapter.base_digest,
        "size_bytes": adapter.size_bytes,
        "created_at": adapter.created_at.isoformat(),
        "r": adapter.r,
        "lora_alpha": adapter.lora_alpha,
        "abstention_bias": adapter.abstention_bias,
        "target_modules": list(adapter.target_modules),
        "template": adapter.template,
        "languages": list(adapter.languages),
        "description": adapter.description,
        "trained_on": dict(adapter.trained_on),
        "evaluation": dict(adapter.evaluation),
        "private": adapter.private,
        "shipped": adapter.shipped,
        "stale": adapter.stale,
    }


def usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def confidence_json(confidence: Confidence | None) -> dict[str, Any] | None:
    if confidence is None:
        return None
    return {
        "probability": _rounded(confidence.probability),
        "calibrator": confidence.calibrator,
        "signals": {name: round(value, 4) for name, value in confidence.signals.items()},
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
