"""The web app's files as they are served."""
