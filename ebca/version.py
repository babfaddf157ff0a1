"""The extension's version, which is written into pictures."""

VERSION = "0.6.0"
