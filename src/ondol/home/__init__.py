"""The role of a server: lends its models to the devices that were invited, and keeps no word.

Imports like ``server``. A request comes in through ``admission``, waits in ``fair_queue``, is
answered by a ``backend``, and leaves numbers behind: in the ledger, and in ``registry``.
"""
