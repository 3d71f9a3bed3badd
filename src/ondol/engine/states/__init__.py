"""What a model has made of a text it will read again, kept on disk: saved states of its cache."""
