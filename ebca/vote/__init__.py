"""A blind vote: people say which of two pictures fits a prompt better, and nobody sees which is
which. The same page in the WebUI (`ebca/webui/vote.py`) and in `python -m ebca vote`.

`Service` answers what the page asks, `Store` keeps the votes, a `Maker` has the pictures made by
a `Painter`, which is all that a host has to bring. Only `pipeline`, the painter of the command
line, imports torch.
"""
