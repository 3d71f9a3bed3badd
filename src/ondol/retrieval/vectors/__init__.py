"""Vectors of chunks: where they are kept and how the nearest are found.

Knows ids and vectors, and in ``loaded`` the database they come from; nothing of text.
"""
