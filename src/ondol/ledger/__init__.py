"""What was answered, what left and what it cost: written down once, and checkable by the owner."""
