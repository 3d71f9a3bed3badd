"""A round from both of its sides: the coordinator at home, the participant on a device.

Every step is on disk before it is answered, so that kill -9 of either loses no round; what is asked
again is answered with the same bytes.
"""
