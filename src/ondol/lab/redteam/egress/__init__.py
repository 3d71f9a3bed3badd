"""Private texts on their way out, and what keeps them in."""
