"""Pictures that show what EBCA does: attention maps over a picture, and pairs off | on."""
