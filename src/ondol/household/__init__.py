"""A device in a federation: what its owner agreed to, when it takes part, what it sends, and
whether it uses what came of it (``docs/federated.md``)."""
