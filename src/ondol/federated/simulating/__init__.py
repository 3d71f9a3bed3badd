"""Federations of many simulated devices: small models that really learn, uneven data, devices that
go and devices that attack (``docs/federated-scale.md``). Nothing of the owner's is read."""
