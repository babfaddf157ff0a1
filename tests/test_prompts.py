import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebca import Edit, Settings, SettingsError, compose
from ebca.prompts import split_prompt
from ebca.prompts.words import find_tokens, missing_words, read_list, read_word_weights


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
    Settings().words.subjects_of(hostile)
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
    for edit in composed.edits:
        assert (edit.gamma_attn, edit.gamma_norm, edit.start, edit.stop) == (0.1, None, 0.2, None)


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
        ("a :0.001 AND b", "prompt", "b :1.*from -100 to 100"),
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


NAMED = {
    "cat, dog": ("cat", "dog"),
    " red hat ,(cat:1.2),, red  hat": ("red hat", "cat"),
    "": (),
    " , ": (),
}


@pytest.mark.parametrize("text", NAMED)
def test_a_list_of_words_is_read_without_emphasis_and_each_once(text):
    assert read_list(text) == NAMED[text]


def test_subjects_that_are_named_go_before_those_that_are_found():
    tags = "masterpiece, (Cat:1.2), red\n(hat), a tree"
    assert Settings(subjects="cat, red hat").words.subjects_of(tags) == {
        "cat": "cat",
        "red hat": "hat",
    }
    assert Settings(subjects="cat, bird").words.subjects_of(tags) == {}
    three = Settings(subjects="dog, cat, bird").words
    assert [tuple(three.subjects_of(text)) for text in ("a cat, dog", "dog", "cat, bird, dog")] == [
        ("dog", "cat"), (), ("dog", "cat", "bird"),
    ]  # fmt: skip


def test_words_are_whole_words_as_they_stand_in_the_prompt():
    there = ["cat", "red cat", "CAT"]
    absent = ["moon", "ca", "at", "red hat", "cat red"]
    assert missing_words(["cat, (red) cat"], [*there, *absent]) == absent
    assert missing_words(["a", "b"], ["b", "c"]) == ["c"]


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
