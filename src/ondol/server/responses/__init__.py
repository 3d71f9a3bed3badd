"""OpenAI's Responses: their events, their tools, and the kept ones."""
