"""Find the subjects of a prompt: the separate persons, animals and things that it asks for.

    find_subjects("a photo of a cat in a hat and a dog")  ->  ("a cat in a hat", "a dog")

`read_subjects` also returns each subject's noun and position. Only Python is needed.
"""

from ebca.subjects.reader import Subject, find_subjects, read_subjects

__all__ = ["Subject", "find_subjects", "read_subjects"]
