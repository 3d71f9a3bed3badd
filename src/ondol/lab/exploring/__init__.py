"""How a model chooses its words: what else might have come, what a sampler makes of that."""
