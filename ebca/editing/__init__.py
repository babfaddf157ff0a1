"""Editing a real picture: the noise from which the model would paint it, and how it is held."""
