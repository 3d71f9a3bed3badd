"""Flower carries the messages of a federation, from an environment and processes of its own.

Nothing of flwr is imported outside of those (``environment``): it asks for older versions of what
Ondol stands on. What it carries is a stage's name and bytes; it reads and keeps neither data nor
models, and no device runs what it brings.
"""
