"""Ondol's own endpoints, under ``/ondol/v1``: what the web app and the command line use."""
