"""Errors of the programs that Ondol speaks with: who may see what, and whose tools can be used."""

from __future__ import annotations

from ondol.errors.base import OndolError


class ProgramError(OndolError):
    """Something with another program."""

    code = "program_error"
    status = 422
    exit_code = 10


class ClientNotFoundError(ProgramError):
    """Nothing was ever allowed to a program of that name."""

    code = "client_not_found"
    status = 404


class ToolServerNotFoundError(ProgramError):
    """There is no MCP server of that name."""

    code = "tool_server_not_found"
    status = 404


class ToolServerError(ProgramError):
    """An MCP server did not start, did not answer, or did not speak as one."""

    code = "tool_server_failed"
    status = 502


class ToolRefusedError(ProgramError):
    """A tool is not called: its owner did not allow it, or what it would be told is private."""

    code = "tool_refused"
    status = 403


class CallNotFoundError(ProgramError):
    """No call of a tool with that id waits for its owner."""

    code = "call_not_found"
    status = 404
