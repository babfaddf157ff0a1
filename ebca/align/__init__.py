"""`python -m ebca align`: measure whether EBCA helps, with the same prompts and seeds on both
sides.

The core and the extension import only `statistics` from here, which needs no torch.
"""
