"""Editing a real picture: find the noise that the model would paint it from, and hold edits."""
