"""A prompt's words as buttons."""

import re

import pytest

from ebca.webui.chips import chips


def shown(text: str, subjects: tuple[str, ...]) -> dict[str, bool]:
    made = re.findall(
        r"data-subject='(.*?)'.*?aria-pressed='(\w+)'>(.*?)</button>", chips(text, subjects)
    )
    assert all(subject == label for subject, _, label in made)
    return {subject: pressed == "true" for subject, pressed, _ in made}


def test_subjects_are_pressed_and_come_first_and_every_other_word_is_there_once():
    assert shown("tree, a (red:1.2) car, tree and crown", ("a red car", "crown")) == {
        "a red car": True, "crown": True, "tree": False,
    }  # fmt: skip


def test_subjects_that_the_prompt_does_not_have_are_not_there():
    assert shown("a cat", ("cat", "dog")) == {"cat": True}


@pytest.mark.parametrize("text", ["", " , ", "()", ":1.2"])
def test_where_there_is_nothing_nothing_is_shown(text):
    assert chips(text, ()) == ""


def test_what_is_hostile_stays_text():
    made = chips("<script>alert('x')</script> \"q\" & it's", ("it's",))
    assert "<script" not in made
    assert "data-subject='it&#x27;s'" in made


def test_a_very_long_prompt_has_an_end():
    assert len(shown(" ".join(f"word{i}" for i in range(1000)), ())) == 300
