"""A model that becomes its owner's: from feedback and writing to samples, from samples to an
adapter, through the gate to every answer, and back."""
