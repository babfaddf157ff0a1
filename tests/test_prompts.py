import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebca import Edit, SettingsError, compose
from ebca.prompts import (
    find_nouns,
    find_things,
    find_tokens,
    read_things,
    read_word_weights,
    split_prompt,
)


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("", [("", 1.0)]),
        ("a AND b", [("a ", 1.0), (" b", 1.0)]),
        ("a AND b :0.6", [("a ", 1.0), (" b", 0.6)]),
        ("a :1.2 AND b:0.6 AND c", [("a", 1.2), (" b", 0.6), (" c", 1.0)]),
        ("a AND b : -0.5", [("a", 1.0), (" b", -0.5)]),
        ("a AND b :-0.5", [("a ", 1.0), (" b", -0.5)]),
        ("a :+2 AND b", [("a", 2.0), (" b", 1.0)]),
        ("a :1. AND b :.5", [("a", 1.0), (" b", 0.5)]),
        ("photo, 16:9", [("photo, 16", 9.0)]),
        ("a :1e3 AND b", [("a :1e3 ", 1.0), (" b", 1.0)]),
        ("a :1.2.3", [("a :1.2.3", 1.0)]),
        ("a :0.5 b", [("a :0.5 b", 1.0)]),
        ("a:1:2", [("a:1", 2.0)]),
        ("cats and dogs", [("cats and dogs", 1.0)]),
        ("A BRAND, SANDY ANDY And", [("A BRAND, SANDY ANDY And", 1.0)]),
        ("a_AND_b", [("a_AND_b", 1.0)]),
        ("a,AND,b", [("a,", 1.0), (",b", 1.0)]),
        ("AND", [("", 1.0), ("", 1.0)]),
        ("AND a", [("", 1.0), (" a", 1.0)]),
        ("a AND", [("a ", 1.0), ("", 1.0)]),
        ("a AND AND b", [("a ", 1.0), (" ", 1.0), (" b", 1.0)]),
        ("a\nAND\nb :2\n", [("a\n", 1.0), ("\nb", 2.0)]),
        ("two\nlines :0.5", [("two\nlines", 0.5)]),
        ("(red:1.3) AND [blue:0.5]", [("(red:1.3) ", 1.0), (" [blue:0.5]", 1.0)]),
        (":0.5", [("", 0.5)]),
    ],
)
def test_and_and_weights_are_read_as_the_webui_reads_them(prompt, parts):
    assert [(part.text.strip(), part.weight) for part in split_prompt(prompt)] == [
        (text.strip(), weight) for text, weight in parts
    ]


@given(st.lists(st.tuples(st.text(" ab,:.()[]\n", max_size=9), st.integers(-300, 300)), min_size=1))
def test_what_is_joined_by_and_is_split_again(parts):
    prompt = "AND".join(f" {text}! :{weight / 100:.2f} " for text, weight in parts)
    assert [(part.text, part.weight) for part in split_prompt(prompt)] == [
        (f" {text}!", weight / 100) for text, weight in parts
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        " AND ".join(f"part {i} :{i / 10}" for i in range(1, 41)),
        " ".join(f"word{i}" for i in range(300)),
        "a" + " " * 5000 + "b",
        " " * 5000,
        "a" + " " * 5000 + ":1",
        "a :" + "1" * 5000 + "x",
        "a" + " :" * 2500,
        "a" + "\n \t" * 1500 + "AND" + " " * 3000 + "b",
        "AND " * 1000,
        ":" * 5000,
        "(" * 3000,
        "a cat with " * 1000,
        "a " + "word" * 3000 + " with!",
        "an a the " * 1000,
    ],
    ids=range(14),
)
def test_hostile_prompts_are_read_in_no_time(hostile):
    started = time.process_time()
    split_prompt(hostile)
    find_things(hostile)
    assert time.process_time() - started < 1.0


def test_forty_sub_prompts_all_take_part():
    composed = compose(" AND ".join(f"part {i} :{i}" for i in range(1, 41)))
    assert composed.main == "part 1"
    assert [edit.alpha for edit in composed.edits] == [float(i) for i in range(2, 41)]


def test_compose_divides_the_weights_by_that_of_the_main_prompt():
    composed = compose("a :1.2 AND b :0.6 AND c :-0.3", gamma_attn=0.1, start=0.2)
    assert composed.main.strip() == "a"
    assert [edit.prompt.strip() for edit in composed.edits] == ["b", "c"]
    assert [edit.alpha for edit in composed.edits] == pytest.approx([0.5, -0.25])
    assert all((e.gamma_attn, e.gamma_norm, e.start, e.stop) == (0.1, 0, 0.2, 1)
               for e in composed.edits)  # fmt: skip


@pytest.mark.parametrize("prompt", ["a cat", "photo, 16:9", "a cat :-1", "", "BRAND"])
def test_a_prompt_without_and_is_left_as_it_is(prompt):
    assert (compose(prompt).main, compose(prompt).edits) == (prompt, ())


@pytest.mark.parametrize("prompt", ["a AND", "a AND  :5 AND \n", "a AND AND"])
def test_empty_editorial_prompts_contribute_nothing(prompt):
    assert compose(prompt).main.strip() == "a"
    assert compose(prompt).edits == ()


def test_a_list_of_prompts_has_a_list_of_edits_for_each():
    composed = compose(["a AND b", "c", "d AND e AND f :-0.5"])
    assert [main.strip() for main in composed.main] == ["a", "c", "d"]
    assert [len(edits) for edits in composed.edits] == [1, 0, 2]
    assert all(isinstance(edit, Edit) for edits in composed.edits for edit in edits)


@pytest.mark.parametrize(
    ("prompt", "field", "told"),
    [
        ("a :0 AND b", "prompt", "a :0'.*weight above 0"),
        ("a :-1 AND b", "prompt", "a :-1'.*weight above 0"),
        ("a :0.001 AND b", "alpha", "1000.*from -100 to 100"),
    ],
)
def test_compose_names_what_cannot_be_composed(prompt, field, told):
    with pytest.raises(SettingsError, match=told) as caught:
        compose(prompt)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", []),
        (" , ", []),
        ("crown:2.5", [("crown", 2.5)]),
        ("crown:2.5, red hat : 1.5,", [("crown", 2.5), ("red hat", 1.5)]),
        ("16:9:2", [("16:9", 2.0)]),
        ("a:0, a:100", [("a", 0.0), ("a", 100.0)]),
    ],
)
def test_word_weights(text, weights):
    assert read_word_weights(text) == weights


NOUNS = {
    "a red star and a blue moon": ["a red star", "a blue moon"],
    "a photo of a cat wearing a crown, masterpiece": ["a cat", "a crown"],
    "two cats and a (red bow:1.3), best quality": ["two cats", "a red bow"],
    "a cat, a dog and the old man's hat on the table": [
        "a cat", "a dog", "the old man's hat", "the table",
    ],
    "An astronaut riding a horse on Mars": ["An astronaut", "a horse"],
    "a bowl of fruit next to a cup of tea": ["a bowl of fruit", "a cup of tea"],
    "a cat BREAK a dog": ["a cat", "a dog"],
    "a cat and a cat": ["a cat"],
    "1girl, red hair": [],
    "": [],
}  # fmt: skip


@pytest.mark.parametrize("text", NOUNS)
def test_nouns_begin_with_an_article_or_a_number(text):
    assert find_nouns(text) == NOUNS[text]


THINGS = {
    "a red star and a blue moon": ["a red star", "a blue moon"],
    "a photo of a cat wearing a crown and a dog": ["a cat wearing a crown", "a dog"],
    "a cat with glasses, a dog": ["a cat with glasses", "a dog"],
    "a man wears the red hat with a feather on a horse": [
        "a man wears the red hat with a feather", "a horse",
    ],
    "a cat  wearing\n(a crown:1.2)": ["a cat wearing a crown"],
    "two cats wearing": ["two cats"],
    "a castle of a king with a crown": ["a king with a crown"],
    "a dog without a collar": ["a dog", "a collar"],
    "with a cat": ["a cat"],
    "": [],
}  # fmt: skip


@pytest.mark.parametrize("text", THINGS)
def test_what_a_thing_wears_or_has_is_part_of_it(text):
    assert find_things(text) == THINGS[text]


def test_a_contrast_is_with_each_of_several_things_of_the_main_prompt():
    composed = compose("a star and a moon AND a night :0.5", contrast=0.6, start=0.2)
    night, *alone = composed.edits
    assert (night.alpha, night.contrast, night.start) == (0.5, 0.0, 0.2)
    assert [(edit.prompt, edit.contrast, edit.start) for edit in alone] == [
        ("a star", 0.3, 0.0), ("a moon", 0.3, 0.0),
    ]  # fmt: skip
    assert compose("a star", contrast=0.3).edits == ()
    assert compose("a cat wearing a crown", contrast=0.3).edits == ()
    long = compose("a star and a moon", contrast=0.3, contrast_stop=0.9)
    assert {(edit.start, edit.stop) for edit in long.edits} == {(0.0, 0.9)}
    assert compose("a star and a moon", contrast=0.3, contrast_stop=0).edits == ()
    with pytest.raises(SettingsError, match=r"contrast_stop is 1\.5, but .* from 0 to 1"):
        compose("a star", contrast_stop=1.5)
    both = compose(["a star", "a star and a moon"], contrast=0.3)
    assert [len(edits) for edits in both.edits] == [0, 2]
    three = compose("a star, a moon and a ring", contrast=0.6)
    assert [edit.contrast for edit in three.edits] == pytest.approx([0.2] * 3)


NAMED = {
    "cat, dog": ("cat", "dog"),
    " red hat ,(cat:1.2),, red  hat": ("red hat", "cat"),
    "": (),
    " , ": (),
}


@pytest.mark.parametrize("text", NAMED)
def test_things_can_be_named(text):
    assert read_things(text) == NAMED[text]


def test_one_thing_alone_cannot_be_named():
    with pytest.raises(SettingsError, match="things is 'cat, cat', but must be two or more"):
        read_things("cat, cat")


def test_things_that_are_named_are_those_of_the_contrast():
    def named(prompt: str, things: str, contrast: float = 0.5) -> list[str | None]:
        edits = compose(prompt, contrast=contrast, things=things).edits
        return [edit.prompt for edit in edits if edit.contrast]

    tags = "masterpiece, (Cat:1.2), red\n(hat), a tree AND a moon"
    assert named(tags, "cat, red hat") == ["cat", "red hat"]
    assert named("a cat with a dog and a tree", "a cat, a dog") == ["a cat", "a dog"]
    assert named("a cat and a dog", "bird, mouse", contrast=0.0) == []


@pytest.mark.parametrize("absent", ["moon", "ca", "at", "red hat", "cat red"])
def test_a_thing_that_the_main_prompt_does_not_have_is_refused(absent):
    legal = rf"things is '{absent}', but must be words of the main prompt"
    with pytest.raises(SettingsError, match=legal):
        compose("cat, (red) cat AND a moon", contrast=0.5, things=f"cat, {absent}")


def test_each_of_several_prompts_has_those_of_the_named_things_that_it_has():
    three = compose(["a cat, dog", "dog", "cat, bird, dog"], contrast=0.6, things="dog, cat, bird")
    assert [[edit.prompt for edit in edits] for edits in three.edits] == [
        ["dog", "cat"], [], ["dog", "cat", "bird"],
    ]  # fmt: skip
    assert [edit.contrast for edit in three.edits[0]] == [0.3, 0.3]


@pytest.mark.parametrize("contrast", [-0.1, 11.0, float("nan")])
def test_a_contrast_out_of_range_is_refused(contrast):
    with pytest.raises(SettingsError, match=r"contrast is .* from 0 to 10"):
        compose("a star and a moon", contrast=contrast)


@pytest.mark.parametrize("bad", ["crown", "crown:", ":2", "crown:x", "a:nan", "a:-1", "a:101", "2"])
def test_word_weights_that_cannot_be_read(bad):
    with pytest.raises(SettingsError, match=r"token_weights is .* from 0 to 100") as caught:
        read_word_weights(f"ok:1, {bad}")
    assert caught.value.field == "token_weights"


@pytest.mark.parametrize(
    ("wanted", "tokens", "indices"),
    [
        ([5], [1, 5, 2, 5], [1, 3]),
        ([5, 6], [5, 6, 0, 5, 6, 5], [0, 1, 3, 4]),
        ([7, 7], [7, 7, 7], [0, 1, 2]),
        ([9], [1, 2], []),
        ([1, 2, 3], [1, 2], []),
        ([], [1, 2], []),
        ((1,), (1,), [0]),
    ],
)
def test_find_tokens_finds_every_occurrence_once_in_order(wanted, tokens, indices):
    assert list(find_tokens(wanted, tokens)) == indices
