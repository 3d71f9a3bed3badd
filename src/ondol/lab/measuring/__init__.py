"""How well a model foresees a text, how far two models are apart, and how fast one is."""
