"""Many adapters become one, and nobody shows their data.

Devices learn from what they hold and send masked sums; a home adds them up (``docs/federated.md``).
"""
