"""What Flower runs on a device, in every one of its ways: in one process, between machines, and
under its simulation. It hands each question to the device and knows nothing of what is in it.
"""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from ondol.errors import OndolError
from ondol.federated.flower.messages import NoMessageError, answer, read_question
from ondol.federated.grid import Device, Failure


def make_client_app(find: Callable[[Context], Device]) -> ClientApp:
    """A ClientApp whose device ``find`` tells from Flower's context (its ``node_id``)."""
    app = ClientApp()

    def said(message: Message, context: Context) -> Message:
        try:
            stage, body = read_question(message)
            return answer(message, find(context).answer(stage, body))
        except NoMessageError as error:
            return answer(message, Failure("malformed_message", str(error)))
        except OndolError as error:
            return answer(message, Failure(error.code, error.message))
        except Exception as error:  # what a device's fault says may be of its data: its kind only
            return answer(message, Failure("gone", type(error).__name__))

    for kind in (app.train, app.evaluate, app.query):
        kind()(said)
    return app
