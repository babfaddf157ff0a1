"""Pictures of what was seen: maps of the attention over a picture, and pairs off | on."""
