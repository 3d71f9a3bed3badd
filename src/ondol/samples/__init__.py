"""What a model may learn from: samples of how its owner wants to be answered, with where each is
from and what was agreed to."""
