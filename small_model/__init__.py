"""The small model: its world, its judge, its training. Nothing in `ebca` imports this package."""
