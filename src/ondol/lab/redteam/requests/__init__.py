"""Requests that nobody should be able to hurt a server with."""
