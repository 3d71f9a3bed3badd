"""The lab: what looks at the models, measures them and makes them faster. No room knows it."""
