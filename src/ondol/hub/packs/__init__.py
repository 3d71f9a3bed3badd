"""Packs: what a field needs of a model, as files that a hub can sign and a device can take back."""
