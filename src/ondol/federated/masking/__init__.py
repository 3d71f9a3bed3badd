"""Secure aggregation: home learns the sum of the devices' vectors, and no vector by itself.

The protocol of Bonawitz et al. (CCS 2017, eprint 2017/281) with the sparse graph of SecAgg+ (Bell
et al., CCS 2020, eprint 2020/704) for large rounds; ``docs/secure-aggregation.md`` says against
whom it protects, and against whom not. ``Member`` is a device's side and ``Adder`` home's; they
know nothing of links, training or encoding. Raises ``MaskingError``.
"""
