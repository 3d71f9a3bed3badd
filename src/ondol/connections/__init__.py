"""The owner's programs: which of them may see what of the library, and which tools they offer."""
