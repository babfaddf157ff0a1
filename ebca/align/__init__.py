"""`python -m ebca align`: does it help? The same prompts and seeds with and without, counted.

Nothing of the core or the extension imports this package but its `statistics`, which need no torch.
"""
