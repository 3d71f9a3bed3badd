"""The device's side of home: the owner's bigger servers that it is enrolled with.

``Homes`` is what asking sees; ``enrolment`` joins and leaves. Every byte goes through ``egress``.
"""
