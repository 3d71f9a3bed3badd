"""Data to adapter: what a base model learns, and how it becomes a file the engine serves.

Everything here needs the ``train`` extra (``extra.require`` says so in one sentence); nothing of
that extra is imported before a function that uses it runs.
"""
