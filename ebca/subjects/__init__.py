"""The subjects of a prompt: what it asks to see as separate things.

    find_subjects("a photo of a cat in a hat and a dog")  ->  ("a cat in a hat", "a dog")

`read_subjects` also tells each one's noun and place. Needs nothing but Python.
"""

from ebca.subjects.reader import Subject, find_subjects, read_subjects

__all__ = ["Subject", "find_subjects", "read_subjects"]
