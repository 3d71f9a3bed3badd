"""Finds how this machine runs a model best: in which format of its weights, and how it computes."""
