"""The door: who comes in, by which name, with which key, how much and how fast, and TLS."""
