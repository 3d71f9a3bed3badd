"""Documents under a model's name: answers from them for clients that know of none."""
