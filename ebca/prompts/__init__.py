"""Prompts as texts: AND, subjects, words. This package knows no host and no model."""

from ebca.prompts.prompt import Edit, Prompt
from ebca.prompts.reading import Composed, compose, split_prompt

__all__ = ["Composed", "Edit", "Prompt", "compose", "split_prompt"]
