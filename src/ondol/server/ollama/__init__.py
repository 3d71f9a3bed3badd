"""Ollama's dialect: chat, generate, embed, and models of one's own."""
