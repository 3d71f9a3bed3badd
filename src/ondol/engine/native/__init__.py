"""Engines beside the bundled one: compiled here, or adopted, and always checked."""
