"""Native engines in this house: built, adopted and checked with a model that is here."""
