"""What is written into a picture is read back the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ebca.infotext import read_fields, read_parameters, write_fields, write_parameters

_texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
_prompts = st.from_regex(r"[a-z0-9,:.()\[\] AND\n-]*", fullmatch=True).map(str.strip)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_writing_and_reading(number: float) -> None:
    text = write_fields({"gamma_attn": number})
    assert {name: float(value) for name, value in read_fields(text).items()} == {
        "gamma_attn": number
    }


@given(_texts)
def test_texts_with_commas_colons_and_quotes_survive(text: str) -> None:
    parameters = write_parameters("a cat", "", {"Steps": 20, "EBCA token_weights": text})
    assert read_parameters(parameters)[2] == {"Steps": "20", "EBCA token_weights": text}


@given(_prompts, _prompts)
def test_prompts_survive_as_the_user_wrote_them(prompt: str, negative: str) -> None:
    text = write_parameters(prompt, negative, {"Steps": 20, "Seed": 1})
    assert read_parameters(text) == (prompt, negative, {"Steps": "20", "Seed": "1"})


def test_layout_is_the_webuis() -> None:
    values = {"Steps": 20, "CFG scale": 4.0, "EBCA layers": "down, up"}
    assert write_parameters("a cat AND at night :0.8", "a dog", values) == (
        "a cat AND at night :0.8\n"
        "Negative prompt: a dog\n"
        'Steps: 20, CFG scale: 4, EBCA layers: "down, up"'
    )


def test_only_our_own_labels_are_read() -> None:
    assert read_fields({"Steps": "20", "EBCA stop": "0.5"}) == {"stop": "0.5"}
