"""What a device learns in a round, and what becomes of the mean of it: vectors of an adapter's
factors, the strategies' rules, and training in a process of its own.
"""
