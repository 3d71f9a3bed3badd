"""Errors of conversations, of the answers that are being given in them, and of kept prompts."""

from __future__ import annotations

from ondol.errors.base import OndolError


class ConversationError(OndolError):
    """Something with a conversation."""

    code = "conversation_error"
    status = 422
    exit_code = 9


class ConversationNotFoundError(ConversationError):
    """No conversation has that id."""

    code = "conversation_not_found"
    status = 404


class MessageNotFoundError(ConversationError):
    """The conversation has no message with that id."""

    code = "message_not_found"
    status = 404


class AttachmentNotFoundError(ConversationError):
    """No file of that name was dropped into the conversation."""

    code = "attachment_not_found"
    status = 404


class PromptNotFoundError(ConversationError):
    """No kept prompt has that id."""

    code = "prompt_not_found"
    status = 404


class RunNotFoundError(ConversationError):
    """No answer with that id is being given, and none was lately."""

    code = "run_not_found"
    status = 404


class AlreadyRunningError(ConversationError):
    """An answer is being given in this conversation."""

    code = "already_running"
    status = 409


class ResponseNotFoundError(ConversationError):
    """No kept response of this caller has that id."""

    code = "response_not_found"
    status = 404
