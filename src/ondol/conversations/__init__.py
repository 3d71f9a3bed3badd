"""Conversations as the owner keeps them: questions and answers, with their branches, files, drafts
and what was said of the answers; and the owner's own prompts."""
