"""A prompt's words as buttons: what is read, what belongs together, what a click does."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ebca.prompts.words import has_words, read_list
from ebca.webui.chips import LeftOver, Marked, Part, Phase, chips
from ebca.webui.membership import clicked, spans
from ebca.webui.pieces import Piece, read_pieces, units

# A text encoder like the WebUI's, with letters as tokens


@dataclass
class Chunk:
    tokens: list[int]
    fixes: list[Any] = field(default_factory=list)


@dataclass
class Embedding:
    name: str
    vectors: int


class Letters:
    """Every letter is a token. `|` begins a chunk, `<name>` is an embedding of three vectors."""

    END = 0

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [[ord(letter) for letter in text if letter != " "] for text in texts]

    def tokenize_line(self, text: str) -> tuple[list[Chunk], int]:
        chunks = []
        for part in text.replace("BREAK", "|").split("|"):
            chunk = Chunk([-1])
            for word in re.findall(r"<\w+>|[^<]+", part):
                if word.startswith("<"):
                    chunk.fixes.append((len(chunk.tokens) - 1, Embedding(word[1:-1], 3)))
                    chunk.tokens += [0] * 3
                else:
                    chunk.tokens += self.tokenize([word])[0]
            chunk.tokens += [self.END] * (77 - len(chunk.tokens))
            chunks.append(chunk)
        return chunks, 0

    def empty_chunk(self) -> Chunk:
        return Chunk([-1] + [self.END] * 76)


def read(text: str, encoded: str | None = None) -> list[Piece]:
    """The pieces of a text, which the encoder sees as `encoded`."""
    parsed = [[part, -1] if part == "BREAK" else [part, 1.0] for part in re.split("(BREAK)", text)]

    class Encoder(Letters):
        def tokenize_line(self, _: str) -> tuple[list[Chunk], int]:
            return super().tokenize_line(encoded if encoded is not None else text)

    return read_pieces(text, parsed, Encoder())


def test_words_have_their_emphasis_and_what_is_between_them_is_no_word() -> None:
    pieces = read_pieces("", [["a ", 1.0], ["red", 1.2], [" car, it's 35mm!", 1.0]])
    shown = [(piece.text, piece.weight, piece.is_word) for piece in pieces]
    assert shown == [
        ("a", 1.0, True), ("red", 1.2, True), ("car", 1.0, True), (",", 1.0, False),
        ("it's", 1.0, True), ("35mm", 1.0, True), ("!", 1.0, False),
    ]  # fmt: skip


def test_words_know_their_tokens_and_their_chunk() -> None:
    pieces = read("a cat BREAK a frog", "a cat | a frog")
    assert [(p.text, p.tokens, p.chunk) for p in pieces] == [
        ("a", 1, 0), ("cat", 3, 0), ("BREAK", 0, 1), ("a", 1, 1), ("frog", 4, 1),
    ]  # fmt: skip
    assert [p.is_break for p in pieces] == [False, False, True, False, False]


def test_an_embedding_is_one_piece_with_its_vectors() -> None:
    pieces = read("a easynegative cat, my style frog", "a <easynegative> cat, <mystyle> frog")
    assert [(p.text, p.tokens, p.embedding) for p in pieces] == [
        ("a", 1, ""), ("easynegative", 3, "easynegative"), ("cat", 3, ""), (",", 1, ""),
        ("mystyle", 3, "mystyle"), ("frog", 4, ""),
    ]  # fmt: skip


def test_what_is_not_encoded_is_dropped_and_what_is_encoded_otherwise_is_not() -> None:
    pieces = read("a cat and a dog", "a cat")
    assert [(p.text, p.dropped) for p in pieces] == [
        ("a", False), ("cat", False), ("and", True), ("a", True), ("dog", True),
    ]  # fmt: skip
    pieces = read("a cät and a dog", "a cAEt and a dog")
    assert not any(piece.dropped for piece in pieces)
    assert [piece.tokens for piece in pieces] == [1, 0, 3, 1, 3]


# Which words belong to a subject, and what a click does


def pressed(text: str, *subjects: str, nouns: dict[str, str] | None = None) -> list[str]:
    pieces = read_pieces(text, [[text, 1.0]])
    named = {each: (nouns or {}).get(each, each.split()[-1]) for each in subjects}
    return [" ".join(p.text for p in pieces[s.start : s.stop]) for s in spans(pieces, named)]


def test_subjects_are_found_wherever_they_are_in_any_case_and_never_overlap() -> None:
    text = "A red car, a (red) cat and a RED CAR"
    assert pressed(text, "red car") == ["red car", "RED CAR"]
    assert pressed(text, "car", "red car") == ["red car", "RED CAR"]
    assert pressed(text, "a red", "red car") == ["red car", "RED CAR"]
    assert pressed("catalog, cats, concatenate", "cat") == []
    assert pressed("a tall, dark stranger", "a tall, dark stranger") == ["a tall , dark stranger"]


@pytest.mark.parametrize(
    ("subjects", "word", "after"),
    [
        (["car", "crown"], "trees", "car, crown, trees"),
        ([], "trees", "trees"),
        (["car", "crown"], "red", "red car, crown"),  # joins what begins behind it
        (["red car", "crown"], "a", "a red car, crown"),
        (["a red car", "crown"], "red", "car, crown"),  # taken out with what is before it
        (["a red car", "crown"], "a", "red car, crown"),
        (["a red car", "crown"], "car", "crown"),  # the noun takes the subject along
        (["crown"], "crown", ""),
        (["a red car", "elephant"], "trees", "a red car, elephant, trees"),  # what is not there
    ],
)
def test_a_click_changes_the_list_of_subjects(subjects, word, after) -> None:
    text = "a red car and a blue crown, trees"
    pieces = read_pieces(text, [[text, 1.0]])
    named = {each: each.split()[-1] for each in subjects}
    place = [piece.text for piece in pieces].index(word)
    assert clicked(pieces, spans(pieces, named), subjects, place) == after


def test_what_stands_behind_the_noun_goes_alone() -> None:
    text, subject = "a cat wearing a crown and a dog", "a cat wearing a crown"
    pieces = read_pieces(text, [[text, 1.0]])
    taken = spans(pieces, {subject: "cat", "a dog": "dog"})
    after = [clicked(pieces, taken, [subject, "a dog"], place) for place in (1, 2, 4)]
    assert after == ["a dog", "a cat, a dog", "a cat wearing, a dog"]


def test_every_click_leads_to_subjects_that_the_prompt_has() -> None:
    text = "a tall, dark stranger and a small (fat:1.2) dog, two old men, it's a man-made 35mm"
    pieces = read_pieces(text, [["a tall, dark stranger and a small fat dog", 1.0],
                                [", two old men, it's a man-made 35mm", 1.0]])  # fmt: skip
    subjects = ["a tall, dark stranger", "a small fat dog", "two old men"]
    taken = spans(pieces, {each: each.split()[-1] for each in subjects})
    assert len(taken) == 3
    for place, piece in enumerate(pieces):
        if piece.is_word:
            after = read_list(clicked(pieces, taken, subjects, place))
            assert all(has_words(text, each) for each in after), after
            assert after


# What is shown


def shown(text: str, subjects: Sequence[str] = (), **marked: Any) -> str:
    pieces = read_pieces(text, [[text, 1.0]])
    named = {each: each.split()[-1] for each in subjects}
    return chips([Part(1.0, [Phase(1, 20, pieces)])], Marked(named, **marked))


def buttons(made: str) -> dict[str, dict[str, str]]:
    """Words -> the attributes of their buttons."""
    found = re.findall(r"<button ([^>]*)>(.*?)</button>", made)
    return {
        html.unescape(re.sub("<.*", "", text)): {
            name: html.unescape(value) for name, value in re.findall(r"([\w-]+)='([^']*)'", facts)
        }
        for facts, text in found
    }


def test_words_stand_in_the_prompt_s_order_with_subjects_together() -> None:
    made = shown("a red car and trees", ["red car"])
    assert list(buttons(made)) == ["a", "red", "car", "and", "trees"]
    (inside,) = re.findall(r"<span class='ebca-subject'.*?</span>", made)
    assert list(buttons(inside)) == ["red", "car"]
    assert "aria-label='Subject: red car'" in inside
    states = {word: each.get("aria-pressed") for word, each in buttons(made).items()}
    assert states == {"a": "false", "red": "true", "car": "true", "and": None, "trees": "false"} | {
        "a": None
    }


def test_small_words_are_no_subjects_but_can_be_weighed() -> None:
    made = buttons(shown("a car on it", ["car"]))
    assert "data-then" not in made["on"]
    assert made["on"]["data-words"] == "on"
    assert made["car"]["data-then"] == ""


def test_weights_are_shown_on_their_words() -> None:
    made = shown("a red hat and a crown", weights={"red hat": 2.5, "crown": 0.0})
    assert made.count("<b>&times;2.5</b>") == 2
    assert made.count("<b>&times;0</b>") == 1
    facts = buttons(made)
    assert facts["hat"]["data-words"] == "red hat"
    assert facts["hat"]["data-factor"] == "2.5"
    assert facts["crown"]["data-factor"] == "0"
    assert (facts["and"]["data-words"], facts["and"]["data-factor"]) == ("and", "1")


def test_what_cannot_be_is_red_says_why_and_can_be_taken_out() -> None:
    left_over = [
        LeftOver("subjects", {"tree": "It is not there.", "owl": "Nor this."}, ["cat"]),
        LeftOver("token_weights", {"x:9:9": "Strange."}, ["a cat:2"]),
    ]
    made = shown("a cat", ["cat"], left_over=left_over, also=["tree", "owl"])
    facts = buttons(made)
    assert "ebca-wrong" in facts["tree \u00d7"]["class"]
    assert facts["tree \u00d7"]["title"] == "It is not there. Click to take it out."
    assert facts["tree \u00d7"]["data-control"] == "subjects"
    assert facts["tree \u00d7"]["data-then"] == "cat, owl"
    assert facts["clear all \u00d7"]["data-then"] == "cat"
    assert facts["x:9:9 \u00d7"]["data-control"] == "token_weights"
    assert facts["x:9:9 \u00d7"]["data-then"] == "a cat:2"
    assert facts["x:9:9 \u00d7"]["title"] == "Strange. Click to take it out."
    assert facts["cat"]["data-then"] == "tree, owl"  # a click leaves them there
    assert made.count("clear all") == 1
    assert "Without effect in “Subjects”:" in made
    assert "Without effect in “Words to bring out more or less”:" in made
    assert "Without effect" not in shown("a cat", ["cat"])
    part = Part(0.0, [Phase(1, 20, read_pieces("", [["a", 1.0]]))], "The weight is 0.")
    both = chips([part, Part(1.0, [])], Marked({}))
    assert "<span class='ebca-note ebca-wrong' title='The weight is 0.'>main prompt" in both


def test_parts_have_weights_and_phases_have_steps() -> None:
    def phase(first: int, last: int, text: str) -> Phase:
        return Phase(first, last, read_pieces("", [[text, 1.0]]))

    made = chips(
        [Part(1.0, [phase(1, 10, "a cat"), phase(11, 20, "a dog")]),
         Part(-0.5, [phase(1, 6, ""), phase(7, 20, "grass")])],
        Marked({"cat": "cat", "dog": "dog"}),
    )  # fmt: skip
    plain = " ".join(re.sub("<[^>]*>", " ", made).split())
    first = "main prompt steps 1 to 10 a cat steps 11 to 20 a dog"
    assert plain.startswith(f"{first} AND, weight -0.5 steps 7 to 20 grass Click a word")
    facts = buttons(made)
    assert facts["dog"]["data-then"] == "cat"
    assert "data-then" not in facts["grass"]  # subjects are in the main prompt


@pytest.mark.parametrize("text", ["", " "])
def test_where_there_is_nothing_nothing_is_shown(text) -> None:
    assert shown(text) == ""


HOSTILE = "<script>alert('x')</script> \"q\" & it's ' onclick='alert(1) \u202e👩‍🚀 $& {0}"


def test_what_is_hostile_stays_text() -> None:
    left_over = [LeftOver("subjects", {"<b>": "No '<i>'."}, ["it's"])]
    made = shown(HOSTILE, ["it's"], left_over=left_over)
    assert not re.findall(r"<(?!/?(?:div|span|button|sup|b)[ >])", made)
    assert not re.search(r"<[^>]*\sonclick=", made)
    assert "<b>" not in made
    assert buttons(made)["it's"]["data-words"] == "it's"


def test_a_very_long_prompt_has_an_end_and_says_so() -> None:
    made = shown(" ".join(f"word{i}" for i in range(1000)))
    assert len(buttons(made)) == 300
    assert "... and 700 more words" in made


def test_units_are_what_a_subject_is_made_of() -> None:
    assert units("it's man-made, 35mm... ok_") == ["it's", "man-made", ",", "35mm", "...", "ok_"]


def test_subjects_without_effect_have_no_colour() -> None:
    assert "ebca-idle" not in shown("a cat and a dog", ["cat", "dog"])
    pieces = read_pieces("a cat", [["a cat", 1.0]])
    part = Part(1.0, [Phase(1, 20, pieces)])
    assert "ebca-words ebca-idle" in chips([part], Marked({"cat": "cat"}), subjects_act=False)


def test_that_words_can_be_clicked_is_said() -> None:
    assert "Click a word to make it a subject." in shown("a cat")


def test_where_there_are_no_spaces_every_character_is_a_word() -> None:
    text = "一只猫和红气球"
    assert units(text) == list(text)
    assert units("ネコ and 猫cat") == ["ネ", "コ", "and", "猫", "cat"]
    pieces = read_pieces(text, [[text, 1.0]])
    taken = spans(pieces, {"猫": "猫", "气球": "气球"})
    assert [(span.start, span.stop) for span in taken] == [(2, 3), (5, 7)]
    assert clicked(pieces, taken, ("猫", "气球"), 4) == "猫, 红气球"
    facts = buttons(shown(text, ["猫", "气球"]))
    assert facts["球"]["data-then"] == "猫"
