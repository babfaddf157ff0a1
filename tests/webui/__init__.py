"""The host suite: a live WebUI, driven through its API, at the address in EBCA_WEBUI."""
