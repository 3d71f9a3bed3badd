"""An MCP server, by the official SDK: four tools and the documents as resources.

The Model Context Protocol (modelcontextprotocol.io) over whatever transport it is run on: the
running server's ``/mcp`` (``mcp_http``) or a pipe (``mcp_stdio``). What a client may see is
``exposure``'s; errors come as results, so that a model reads them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from anyio.to_thread import run_sync

from ondol import __version__
from ondol.callers import calling
from ondol.errors import OndolError
from ondol.server.mcp.exposure import Exposure, Given
from ondol.server.mcp.results import as_text, name_of, size_of, told
from ondol.server.mcp.tools import INSTRUCTIONS, TOOLS, checked, tools
from ondol.server.streaming import Source
from ondol.types import Answer

if TYPE_CHECKING:
    from mcp.server import Server
    from mcp_types import (
        CallToolResult,
        ListResourcesResult,
        ReadResourceResult,
        Resource,
    )

T = TypeVar("T")

PAGE = 100


class Backend(Protocol):
    """Who does what a client asks for: the house itself, or an Ondol that runs."""

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult: ...

    async def resources(self, cursor: str) -> ListResourcesResult: ...

    async def read(self, uri: str) -> ReadResourceResult: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a call. ``text`` is for a model, ``data`` for a program (none of an error)."""

    text: str
    data: dict[str, Any] | None = None


class House:
    """The house itself, as far as ``exposure`` shows it."""

    def __init__(self, exposure: Exposure) -> None:
        self._exposure = exposure

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        return _result_of(await call(self._exposure, tool, arguments))

    async def resources(self, cursor: str) -> ListResourcesResult:
        import mcp_types as types

        def work(exposure: Exposure) -> list[Resource]:
            page = [_resource(uri, one) for uri, one in exposure.documents() if uri > cursor]
            num_bytes = sum(len(one.name.encode()) for one in page[:PAGE])
            exposure.record("list_resources", Given({}, len(page[:PAGE])), num_bytes)
            return page

        found = await self._asked(work)
        more = found[PAGE - 1].uri if len(found) > PAGE else None
        return types.ListResourcesResult(resources=found[:PAGE], next_cursor=more)

    async def read(self, uri: str) -> ReadResourceResult:
        import mcp_types as types

        def work(exposure: Exposure) -> str:
            try:
                given = exposure.document(uri)
            except Exception as error:
                exposure.record("read_resource", None, 0, _code(error))
                raise
            text = str(given.data["text"])
            exposure.record("read_resource", given, len(text.encode()))
            return text

        text = await self._asked(work)
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)
        return types.ReadResourceResult(contents=[contents])

    async def _asked(self, work: Callable[[Exposure], T]) -> T:
        import mcp_types as types
        from mcp.shared.exceptions import MCPError

        try:
            with calling(self._exposure.caller):
                return await run_sync(work, self._exposure)
        except Exception as error:
            raise MCPError(types.INVALID_PARAMS, told(error)) from None


async def call(exposure: Exposure, tool: str, arguments: dict[str, Any]) -> Reply:
    """Call ``tool`` and write it down. Stops what it began when it is cancelled."""
    given: Given | None = None
    reason = ""
    try:
        with calling(exposure.caller):
            given = await _run(exposure, tool, checked(tool, arguments))
        text = as_text(tool, given.data)
    except Exception as error:
        given, text, reason = None, told(error), _code(error)
    num_bytes = len(text.encode()) + (size_of(given.data) if given else 0)
    name = tool if tool in TOOLS else "unknown"
    try:
        await run_sync(partial(exposure.record, name, given, num_bytes, reason))
    except Exception as error:
        return Reply(told(error))
    return Reply(text, given.data if given else None)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, OndolError) else "internal_error"


async def _run(exposure: Exposure, tool: str, given: dict[str, Any]) -> Given:
    if tool == "ask":
        asking, names = await run_sync(
            partial(exposure.asking, given["question"], given.get("collection"))
        )
        source = Source(lambda: asking)
        try:
            answer = await run_sync(partial(_last, source), abandon_on_cancel=True)
        finally:
            source.stop()
        return await run_sync(partial(exposure.answered, answer, names))
    work: dict[str, Callable[[], Given]] = {
        "search_documents": lambda: exposure.search(
            given["query"], given.get("collection"), given.get("limit", 5)
        ),
        "remember": lambda: exposure.remember(given["text"], given.get("kind", "fact")),
        "list_collections": exposure.list_collections,
    }
    return await run_sync(work[tool])


def _last(source: Source[Any]) -> Answer:
    return [item for item in source if isinstance(item, Answer)][-1]


def make_server(find: Callable[[Any], Awaitable[Backend]]) -> Server:
    """The server. ``find`` says who does what a request, in its SDK context, asks for."""
    import mcp_types as types
    from mcp.server import Server
    from mcp.shared.exceptions import MCPError

    # What went wrong is told to who asked; a log could repeat what they asked for.
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools())

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> CallToolResult:
        try:
            backend = await find(context)
        except Exception as error:
            return _result_of(Reply(told(error)))
        return await backend.call(params.name, dict(params.arguments or {}))

    async def found(context: Any) -> Backend:
        try:
            return await find(context)
        except Exception as error:
            raise MCPError(types.INTERNAL_ERROR, told(error)) from None

    async def list_resources(context: Any, params: Any) -> types.ListResourcesResult:
        return await (await found(context)).resources(str(params.cursor or "") if params else "")

    async def read_resource(
        context: Any, params: types.ReadResourceRequestParams
    ) -> ReadResourceResult:
        return await (await found(context)).read(str(params.uri))

    server: Server = Server(
        "ondol",
        version=__version__,
        title="Ondol",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
    )
    # Nothing of what is said here is told to anybody who traces.
    server.middleware.clear()
    return server


def _result_of(reply: Reply) -> CallToolResult:
    import mcp_types as types

    return types.CallToolResult(
        content=[types.TextContent(text=reply.text)],
        structured_content=reply.data,
        is_error=reply.data is None,
    )


def _resource(uri: str, document: Any) -> Resource:
    import mcp_types as types

    return types.Resource(
        uri=uri,
        name=name_of(document.source),
        title=document.title or None,
        mime_type="text/plain",
        size=None,
    )
