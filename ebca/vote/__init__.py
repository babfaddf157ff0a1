"""A blind vote: people say which of two pictures fits a prompt better, without knowing which is
which. The page is the same in the WebUI (`ebca/webui/vote.py`) and in `python -m ebca vote`.

`Service` answers the page's requests, `Store` keeps the votes, and a `Maker` has the pictures made
by a `Painter`, the only part that a host must bring. Only `pipeline`, the painter of the command
line, imports torch.
"""
