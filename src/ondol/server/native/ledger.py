"""Ondol's own endpoints about the ledger: its entries, page by page, one in words, the check of all
of them, and a month in numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from ondol.ledger import export
from ondol.ledger.cost import Pricing
from ondol.ledger.entries import Entry, as_time
from ondol.ledger.explanation import Quality, explain, passages_of
from ondol.ledger.report import month_of, report
from ondol.ledger.summary import MOST_MONTHS, summary
from ondol.ledger.verification import verify
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.streaming import in_thread

LONGEST_PAGE = 1000

Form = Literal["jsonl", "csv"]
Kind = Annotated[str, Field(min_length=1, max_length=100)]


class Page(Lenient):
    """Which entries: times in ISO 8601, and below which number the page begins."""

    since: datetime | None = None
    until: datetime | None = None
    kind: Kind | None = None
    route: Literal["local", "home", "abstain"] | None = None
    before: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE)] = 100


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry with its id."""
    return {"id": entry.id, **entry.json()}


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about the ledger."""

    @routes.get("/ledger")
    async def entries(page: Annotated[Page, Query()]) -> Response:
        """A page of entries, the newest first; ``next_before`` is where the next page begins."""

        def work() -> list[Entry]:
            found = parts.ledger.entries(
                since=as_time(page.since) if page.since else "",
                until=as_time(page.until) if page.until else "",
                kind=page.kind or "",
                route=page.route or "",
                before=page.before,
                limit=page.limit,
            )
            return list(found)

        found = await in_thread(work)
        more = found[-1].number if len(found) == page.limit and found[-1].number > 1 else None
        body = {"entries": [entry_json(one) for one in found], "next_before": more}
        return json_response(body)

    @routes.get("/ledger/verify")
    async def check() -> Response:
        """Whether every entry is as it was signed, and which is not."""
        return json_response(await in_thread(lambda: verify(parts.ledger).json()))

    @routes.get("/ledger/report")
    async def sums(
        month: Annotated[str | None, Query(pattern=r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$")] = None,
    ) -> Response:
        """A month in numbers, this one by default: answers, what left, energy, money."""

        def work() -> dict[str, Any]:
            day = datetime.strptime(month, "%Y-%m") if month else datetime.now()
            span = month_of(day.astimezone())
            return report(parts.ledger, Pricing.from_config(parts.config), *span).json()

        return json_response(await in_thread(work))

    @routes.get("/ledger/summary")
    async def months(months: Annotated[int, Query(ge=1, le=MOST_MONTHS)] = 1) -> Response:
        """The last months and their days in numbers: answers by route and how many stayed here,
        bytes out, energy measured and estimated, money here and in the cloud."""

        def work() -> dict[str, Any]:
            pricing = Pricing.from_config(parts.config)
            return summary(parts.ledger, pricing, datetime.now().astimezone(), months).json()

        return json_response(await in_thread(work))

    @routes.get("/ledger/export", response_class=Response)
    async def file(form: Annotated[Form, Query(alias="format")] = "jsonl") -> Response:
        """The whole ledger as a file: JSON lines that anybody can check, or CSV."""
        lines = export.jsonl if form == "jsonl" else export.rows
        name = f'attachment; filename="ondol-ledger.{form}"'
        kind = "application/jsonl" if form == "jsonl" else "text/csv; charset=utf-8"
        whole = await in_thread(lambda: "".join(lines(parts.ledger)))
        return Response(whole, headers={"Content-Disposition": name}, media_type=kind)

    @routes.get("/ledger/{id}")
    async def entry(id: str) -> Response:
        """One entry in fields and in words, by its id, the beginning of it, or ``last``; with how
        well the probabilities of its calibrator held."""

        def work() -> dict[str, Any]:
            found = parts.ledger.get(id)
            left = passages_of(parts.ledger, found) if found.kind == "answer" else []
            quality = _quality(parts, found.calibrator)
            return {
                "entry": entry_json(found),
                "passages": [entry_json(one) for one in left],
                "explanation": explain(found, left, quality),
                "calibration": quality._asdict() if quality else None,
            }

        return json_response(await in_thread(work))


def _quality(parts: Parts, calibrator: str) -> Quality | None:
    """How well the probabilities of ``calibrator`` held, while it is still here."""
    known = parts.oversight.judge.calibrators.list() if calibrator else []
    return next((Quality(one.n, one.ece) for one, _ in known if one.name == calibrator), None)
