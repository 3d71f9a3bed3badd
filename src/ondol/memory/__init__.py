"""What Ondol remembers of its owner: facts and preferences that the owner states, sees, changes and
erases. Nothing comes in here by itself."""
