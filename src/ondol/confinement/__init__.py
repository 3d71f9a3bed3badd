"""Child processes that look at files of unknown origin, and can harm nobody.

What they are started with and give up (``child``, ``privileges``, ``landlock``, ``seccomp``), and
how parent and child talk (``frames``). What a child is for, its own room knows.
"""
