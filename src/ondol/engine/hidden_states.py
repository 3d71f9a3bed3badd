"""What a model's layers make of every token of a text, in one pass: the states that its output
layer turns into logits.

Only a process that was started with ``ModelSpec.kind`` "embedding" and ``pooling`` "none" tells
them, of texts no longer than its context. Called by ``LlamaEngine``; raises what the wire raises.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ondol.engine.request import Wire
from ondol.engine.wire import Garbled, Refused, error_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def hidden_states(wire: Wire, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
    """The states after the last normalisation, shape ``(len(tokens), width)``."""
    import numpy as np

    # Not the dialect of OpenAI, which has no word for a text that stays in pieces.
    answer = wire.loaded.client.post("/embedding", json={"content": list(tokens)})
    if answer.status_code != 200:
        raise Refused(answer.status_code, error_of(answer.content))
    try:
        told: Any = json.loads(answer.content)
        states = np.asarray(told[0]["embedding"], dtype=np.float32)
    except (ValueError, LookupError, TypeError):
        raise Garbled from None
    if states.ndim != 2 or len(states) != len(tokens):
        raise Garbled
    return states
