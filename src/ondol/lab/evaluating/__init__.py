"""How good a model is, for its owner: golden questions and small suites, asked as it serves."""
