"""The releases of a hub under other people's protocols, and other people's models on their way in.

``shelf`` is what the hub has; ``hf`` serves it to huggingface_hub, ``registry`` to Ollama.
``upstream``, ``pulling`` and ``quarantine`` bring what is not here yet: pinned, checked, scanned,
and held until the operator approves it.
"""
