"""Models, adapters and what belongs to them, made so that each must be refused."""
