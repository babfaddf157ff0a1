"""The host's interrogators say what a picture shows, or a line says why they do not."""

from __future__ import annotations

import pytest
from PIL import Image

from ebca.webui.asking import BATCH, FAILED, NO_PICTURE, NOBODY, Answer, answer

PICTURE = Image.new("RGBA", (8, 4), "red")


def says(text):
    """An interrogator, with what it was shown."""
    seen = []

    def interrogate(picture):
        seen.append((picture.mode, picture.size))
        if isinstance(text, Exception):
            raise text
        return text

    return interrogate, seen


def asked(interrogate, picture=PICTURE, number=0, report=lambda: None):
    return answer([picture, None], number, "CLIP", interrogate, report)


@pytest.mark.parametrize("picture", [PICTURE, {"image": PICTURE, "mask": PICTURE}])
def test_it_is_shown_the_picture_and_says_what_it_shows(picture):
    clip, seen = says(" a cat, a drawing\n")
    assert asked(clip, picture) == Answer("a cat, a drawing")
    assert seen == [("RGB", (8, 4))]


@pytest.mark.parametrize(
    ("said", "text"), [("<error>", None), ("a cat, <error>", "a cat"), ("", None), (None, None)]
)
def test_what_it_had_when_it_failed_is_kept(said, text):
    assert asked(says(said)[0]) == Answer(text, FAILED.format("CLIP"))


def test_an_exception_is_reported_and_told():
    reported = []
    failed = asked(says(RuntimeError("no room"))[0], report=lambda: reported.append(True))
    assert failed == Answer(None, FAILED.format("CLIP"))
    assert reported == [True]


@pytest.mark.parametrize(
    ("number", "line"), [(1, NO_PICTURE), (2, BATCH), (5, BATCH)], ids=["empty", "batch", "more"]
)
def test_without_a_picture_nobody_is_asked(number, line):
    clip, seen = says("a cat")
    assert asked(clip, number=number) == Answer(None, line)
    assert seen == []


def test_a_host_may_have_none():
    assert asked(None) == Answer(None, NOBODY.format("CLIP"))
