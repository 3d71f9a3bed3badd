"""Answers that are being given in conversations, whoever listens, and what goes into them."""
