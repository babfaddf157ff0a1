"""EBCA as an extension of the WebUI. Only this package and `scripts/` import its `modules`."""
