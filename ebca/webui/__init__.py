"""EBCA as an extension of the WebUI; with `scripts/` the only place that imports its `modules`."""
