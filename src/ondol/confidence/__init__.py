"""How sure Ondol is: from what a completion shows of itself to a probability that means what it
says, or to none where nothing was ever measured."""
