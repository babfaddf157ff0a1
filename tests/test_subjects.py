"""The subjects of a prompt: right or silent. The corpora are in tests/subjects."""

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebca.subjects import Subject, contact, find_subjects, grammar, read_subjects
from ebca.subjects.cli import main
from ebca.subjects.lexicon import lexicon
from tests.subjects.scorer import FOLDER, normal, read_corpus, score

DATA = Path(sys.modules["ebca.subjects"].__file__).parent
CORPORA = sorted(file.stem for file in FOLDER.glob("*.tsv"))


@pytest.mark.parametrize("name", CORPORA)
def test_subjects_are_right_or_silent(name):
    result = score(read_corpus(name), find_subjects)
    assert result.precision >= 0.95, "\n".join(result.wrong)
    assert result.acted_on >= 0.8, "\n".join(result.wrong)
    assert result.false_acts <= 0.03, "\n".join(result.wrong)


def test_the_corpora_are_large_and_have_no_prompt_twice():
    prompts = [line.prompt for name in CORPORA for line in read_corpus(name)]
    assert len(prompts) >= 256
    assert len(prompts) == len(set(prompts))


def test_the_scorer_counts_what_it_says():
    lines = read_corpus("given")
    assert score(lines, lambda prompt: ()).acted_on == 0
    everything = score(lines, lambda prompt: ("a cat", "dog"))
    assert everything.false_acts == 1
    assert everything.acted_on == 1
    assert everything.precision < 0.5
    assert normal("A (red:1.2)  hat") == normal("red hat") == normal("his red_hat")


AS_BEFORE = {
    "a red star and a blue moon": ["a red star", "a blue moon"],
    "a photo of a cat wearing a crown and a dog": ["a cat wearing a crown", "a dog"],
    "a cat with glasses, a dog": ["a cat with glasses", "a dog"],
    "two cats and a (red bow:1.3), best quality": ["two cats", "a red bow"],
    "a cat, a dog and the old man's hat on the table": ["a cat", "a dog", "the old man's hat"],
    "An astronaut riding a horse on Mars": ["An astronaut", "a horse"],
    "a bowl of fruit next to a cup of tea": ["a bowl of fruit", "a cup of tea"],
    "a star, a moon and a ring": ["a star", "a moon", "a ring"],
    "a rabbit and a green bow": ["a rabbit", "a green bow"],
    "a cat and a red balloon AND on the grass :0.5": ["a cat", "a red balloon"],
    "a cat BREAK a dog": ["a cat", "a dog"],
    "a cat and a cat": [],
    "1girl, red hair": [],
    "two cats wearing": [],
    "with a cat": [],
    "": [],
}  # fmt: skip


@pytest.mark.parametrize("prompt", AS_BEFORE)
def test_what_was_understood_before_still_is(prompt):
    assert list(find_subjects(prompt)) == AS_BEFORE[prompt]


HELD = {
    "1girl, holding a sword, standing beside a dragon": ["1girl", "a dragon"],
    "1girl, holding an axe, facing a troll": ["1girl", "a troll"],
    "a knight holding up a banner and a squire": ["a knight", "a squire"],
    "a girl holding a balloon and a dog in a hat": ["a girl", "a dog in a hat"],
    "a chef holding a knife, a fork and a spoon": [],
    "a barista holding a cup of tea in one hand and a bun in the other": [],
    "a queen wields an axe against an ogre": ["a queen", "an ogre"],
    "a kitten carried by a girl": [],
    "a bard playing a lute for a bride": ["a bard", "a bride"],
    "a cat playing a piano next to a dog": ["a cat", "a piano", "a dog"],
    "a woman with a dog in her arms": [],
    "a pirate with a parrot on his shoulder and a monkey": [
        "a pirate with a parrot on his shoulder", "a monkey",
    ],
    "an old man in an armchair, a little girl sitting on his lap": [],
    "an owl with a mouse in its beak; a fox": ["an owl with a mouse in its beak", "a fox"],
    "a woman with a cat on its hind legs": ["a woman", "a cat"],
    "a dragon with a knight on its back": ["a dragon", "a knight"],
    "a clown standing on his hands next to a poodle": ["a clown", "a poodle"],
}  # fmt: skip


@pytest.mark.parametrize("prompt", HELD)
def test_what_is_held_belongs_to_who_holds_it(prompt):
    assert list(find_subjects(prompt)) == HELD[prompt]


TOUCHING = [
    "two girls hugging",
    "two girls hugging under a streetlight",
    "man and woman dancing tango",
    "1girl, 1boy, hug from behind, night",
    "1boy, 1girl, piggyback",
    "a princess kisses a frog, a knight watching",
    "a boy snuggled up to a big bear",
    "a scarecrow dancing with a crow",
    "a soldier and his wife in a tight embrace",
    "a puppy and a kitten sleeping on top of each other",
    "a man and a woman in each other's arms",
    "a boy with his arms around a horse",
]
APART = {
    "1girl, 1boy, holding hands": ["1girl", "1boy"],
    "a man and a woman holding each other's hands": ["a man", "a woman"],
    "two girls hugging beside a snowman": ["two girls", "a snowman"],
    "a couple kissing next to a red car": ["a couple", "a red car"],
    "a ballerina dancing next to a piano": ["a ballerina", "a piano"],
    "a dancing bear and a clown": ["a dancing bear", "a clown"],
    "a girl hugging her teddy bear beside a cat": ["a girl", "a cat"],
    "a girl riding a bear": ["a girl", "a bear"],
    "a cat chasing a dog": ["a cat", "a dog"],
    "a boy playing with a puppy": ["a boy", "a puppy"],
    "a knight facing a dragon": ["a knight", "a dragon"],
    "a man walking past a red car": ["a man", "a red car"],
    "a child looking at a lion": ["a child", "a lion"],
}


@pytest.mark.parametrize("prompt", TOUCHING)
def test_two_that_touch_are_not_cut_apart(prompt):
    assert find_subjects(prompt) == ()


@pytest.mark.parametrize("prompt", APART)
def test_who_only_stand_ride_or_play_together_stay_two(prompt):
    assert list(find_subjects(prompt)) == APART[prompt]


@pytest.mark.parametrize(
    ("verb", "does", "doing", "done"),
    [
        ("hold", "holds", "holding", "held"), ("carry", "carries", "carrying", "carried"),
        ("wield", "wields", "wielding", "wielded"), ("grip", "grips", "gripping", "gripped"),
        ("clutch", "clutches", "clutching", "clutched"), ("heft", "hefts", "hefting", "hefted"),
    ],
)  # fmt: skip
def test_every_form_of_a_verb_of_holding_is_one(verb, does, doing, done):
    for prompt in (
        f"a girl {doing} a cat",
        f"a girl who {does} a cat",
        f"two girls {verb} a cat",
        f"1girl, {doing} cat, forest",
        f"a cat {done} by a girl",
    ):
        assert find_subjects(prompt) == (), prompt


def test_a_subject_tells_its_noun_and_its_place():
    prompt = "photo of (two (red:1.2) vans:1.1), and his tall,\n dark dog with a bone"
    assert read_subjects(prompt) == (
        Subject("two red vans", "vans", 10, 28, 24, 28),
        Subject("tall, dark dog with a bone", "dog", 43, 70, 55, 58),
    )


WORDS = r"""
a the his two cat dog red tall woman hat table forest with of in on and or , . ( ) [ ] : | 1.2
BREAK AND wearing holding runs photo <lora:x:1> __x__ { } \\( \\) 1girl ice cream no next to it
who that they look fly can each other made background left close up half painting both 2 's -
"""
SMALL = sorted(
    grammar.ENGLISH | grammar.RIDDEN | grammar.CONSUME | {w for ws in grammar.LONG for w in ws}
    | contact.HOLD | contact.HANDLE | contact.HUG | contact.CLING | contact.HELD_IN["in"]
)  # fmt: skip
SOME = sorted(lexicon().nouns)[::97] + sorted(lexicon().verbs)[::97] + sorted(lexicon().forms)[::97]
ANY = st.sampled_from(WORDS.split()) | st.sampled_from(SMALL) | st.sampled_from(SOME)


@settings(deadline=None, max_examples=500)
@given(st.text(max_size=80) | st.lists(ANY, max_size=25).map(" ".join))
def test_any_prompt_can_be_read_and_places_hold_the_words(prompt):
    subjects = read_subjects(prompt)
    assert len(subjects) != 1
    assert find_subjects(prompt) == tuple(subject.text for subject in subjects)
    last = 0
    for subject in subjects:
        assert last <= subject.start <= subject.noun_start < subject.noun_stop <= subject.stop
        assert prompt[subject.noun_start : subject.noun_stop] == subject.noun
        inside = prompt[subject.start : subject.stop]
        for word in subject.text.replace(",", " ").split():
            assert word in inside or word == "and"
        last = subject.stop


HOSTILE = (
    "(", "[", "a cat with ", "[a:", "a, ", "big, ", "a big, ", "red and ", "word", "cat's ",
    "the a ", "cat ", "old ", "a cat and a dog, ", "\\(", ":", "1.1", "a.b.", "_",
    "<a:", "a-", "cat\n", "[|",
    "hug, ", "a girl dancing, ", "holding a cat and ", "a cat in her lap ", "in his grip ",
    "1girl, a witch, ", "a woman, the artist, ", "next to ", "on the left side ", "\u2019", "猫",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_reading_takes_time_in_proportion_to_the_length(piece):
    find_subjects("a cat and a dog")  # the lexicon is read once
    for prompt in (
        piece * (20_000 // len(piece)),
        "a " + piece * (20_000 // len(piece)) + "]" * 99,
    ):
        started = time.process_time()
        find_subjects(prompt)
        assert time.process_time() - started < 1.0


def test_the_lexicon_is_small_and_has_its_licence():
    assert sum(file.stat().st_size for file in DATA.glob("*.txt")) <= 300_000
    assert "WordNet" in (DATA / "LICENSE-WordNet.txt").read_text(encoding="utf-8")
    started = time.process_time()
    lexicon.__wrapped__()
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("word", "letter"),
    [
        ("cat", "a"), ("wolves", "a"), ("woman", "p"), ("children", "p"), ("dress", "w"),
        ("buses", "v"), ("hair", "b"), ("garden", "s"), ("portrait", "m"), ("idea", "n"),
        ("chair", "u"), ("castle", "h"), ("roses", "l"), ("soup", "f"), ("cups", "k"),
        ("zorblax", ""),
    ],
)  # fmt: skip
def test_nouns_are_what_they_are_in_a_picture(word, letter):
    assert lexicon().noun(word) == letter


def test_the_command_prints_a_line_for_each_prompt():
    out = io.StringIO()
    assert main(io.StringIO("a cat and a dog\n\na portrait of a woman\r\n2 cats, 3 dogs"), out) == 0
    assert out.getvalue() == "a cat; a dog\n\n\n2 cats; 3 dogs\n"


def test_the_command_is_there():
    done = subprocess.run(
        [sys.executable, "-m", "ebca", "subjects"],
        input="a cat and a dog\na cat\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "a cat; a dog\n\n"
