"""Token weights on the WebUI's own text encoders: chunks, emphasis, embeddings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from calls import listening
from host import Host
from test_host_rows import LONG

from ebca.webui.pieces import Piece, read_pieces
from ebca.webui.words import find_words

ON = {
    "enabled": True,
    "gamma_attn": 0.1,
    "gamma_norm": 0.0,
    "gamma_spread": 0.0,
    "centered": False,
}


def places(host: Host, prompt: str, words: str) -> list[int]:
    from ebca.webui.family import text_encoder

    return find_words(text_encoder(), prompt, words)


def test_words_are_found_where_they_stand(each_model: Host) -> None:
    assert places(each_model, "a car and a crown", "car") == [2]
    assert places(each_model, "a car and a crown", "a crown") == [4, 5]
    assert places(each_model, "a car and a car", "car") == [2, 5]
    assert places(each_model, "a car", "clock") == []


def test_emphasis_and_breaks_are_not_words(each_model: Host) -> None:
    assert places(each_model, "(a car:1.3) and [a crown]", "crown") == [5]
    assert places(each_model, "a car BREAK a crown", "crown") == [77 + 2]


def test_words_of_later_chunks_are_found(each_model: Host) -> None:
    found = places(each_model, f"{LONG}, a frog", "frog")
    assert len(found) == 1
    assert found[0] > 77


@pytest.fixture
def embedding(host: Host) -> Iterator[str]:
    """A textual inversion embedding of three vectors."""
    from modules import sd_hijack
    from modules.textual_inversion.textual_inversion import Embedding

    database = sd_hijack.model_hijack.embedding_db
    made = Embedding(torch.randn(3, 24), "mystyle")
    made.vectors, made.shape = 3, 24
    database.register_embedding(made, host.model)
    yield made.name
    database.word_embeddings.clear()
    database.ids_lookup.clear()


def test_embeddings_take_as_many_places_as_they_have_vectors(host: Host, embedding: str) -> None:
    assert places(host, f"a {embedding} car", "car") == [5]
    assert places(host, f"a {embedding} car", embedding) == [2, 3, 4]


@pytest.mark.usefixtures("embedding")
def test_an_embedding_can_be_weighted(host: Host) -> None:
    one = host.txt2img([{**ON, "token_weights": "mystyle:5"}], prompt="a mystyle cat")
    assert not torch.equal(one.pictures, host.txt2img([ON], prompt="a mystyle cat").pictures)


@pytest.mark.parametrize("prompt", ["a cat and a dog", f"{LONG}, a dog", "a cat AND a dog"])
def test_weights_change_the_pictures_and_weights_of_one_do_not(
    each_model: Host, prompt: str
) -> None:
    options = {**ON, "edit_gamma_attn": 0.01}
    plain = each_model.txt2img([options], prompt=prompt)
    heavy = each_model.txt2img([{**options, "token_weights": "dog:20"}], prompt=prompt)
    one = each_model.txt2img([{**options, "token_weights": "dog:1"}], prompt=prompt)
    assert not torch.allclose(heavy.pictures, plain.pictures, atol=1e-4)
    torch.testing.assert_close(one.pictures, plain.pictures, atol=1e-5, rtol=1e-4)


def test_weights_of_zero_for_every_word_stop_the_words(host: Host) -> None:
    """Without the attention term of its tokens a word has no update of its own."""
    prompt = "a cat"
    tokens = {**ON, "token_weights": "a cat:0"}
    some = host.txt2img([tokens], prompt=prompt)
    assert not torch.equal(some.pictures, host.txt2img([ON], prompt=prompt).pictures)


def test_words_that_only_some_images_have_are_no_error(host: Host) -> None:
    job = {
        "prompt": ["a cat", "a dog"],
        "negative_prompt": ["", ""],
        "batch_size": 2,
        "seed": [1, 2],
    }
    both = host.txt2img([{**ON, "token_weights": "dog:20"}], **job)
    plain = host.txt2img([ON], **job)
    torch.testing.assert_close(both.pictures[0], plain.pictures[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(both.pictures[1], plain.pictures[1], atol=1e-4)


OLD = {"use_old_emphasis_implementation": True}


def test_the_old_implementation_places_words_otherwise(host: Host) -> None:
    """It drops the brackets of emphasis and keeps its weights, and knows no BREAK."""
    with host.settings(**OLD):
        assert places(host, "a car and a crown", "car") == [2]
        assert places(host, "(a car:1.3) and [a crown]", "crown")[0] > 5
        assert places(host, "a car BREAK a crown", "crown")[0] < 77
        assert places(host, f"a frog, {LONG}, a frog", "frog") == [2]


def test_the_old_implementation_encodes_words_at_their_places(host: Host) -> None:
    """A word that is exchanged changes the encoding from its own place on; its length, which
    emphasis evens out, changes everywhere."""
    with host.settings(**OLD):
        one, other = (host.encode(f"(a car:1.3) and a {word}") for word in ("dog", "cat"))
        (place,) = places(host, "(a car:1.3) and a dog", "dog")
        likeness = torch.cosine_similarity(one, other, dim=-1)
    assert len(one) == 77
    assert likeness[:place].min() > 0.9999 > likeness[place]


def test_a_weight_of_a_word_that_the_old_implementation_drops_is_refused(host: Host) -> None:
    weighted = {**ON, "token_weights": "dog:20"}
    with host.settings(**OLD):
        with listening([host.unet]) as calls, pytest.raises(RuntimeError) as raised:
            host.txt2img([weighted], prompt=f"{LONG}, a dog")
        assert not calls
        twice = host.txt2img([weighted], prompt=f"a dog, {LONG}, a dog")
        plain = host.txt2img([ON], prompt=f"a dog, {LONG}, a dog")
    assert "token_weights is 'dog'" in str(raised.value)
    assert "among its first 75 tokens" in str(raised.value)
    assert not torch.allclose(twice.pictures, plain.pictures, atol=1e-4)


def pieces(text: str) -> list[Piece]:
    """As the WebUI's own parser and the text encoder in use read it."""
    from modules import prompt_parser

    from ebca.webui.family import text_encoder

    return read_pieces(text, prompt_parser.parse_prompt_attention(text), text_encoder())


def test_words_are_read_as_they_are_encoded(each_model: Host) -> None:
    read = pieces(f"a (red:1.3) car, it's [a crown] BREAK {LONG}, a frog")
    shown = {piece.text: piece for piece in read}
    assert shown["red"].weight == 1.3
    assert shown["crown"].weight == pytest.approx(1 / 1.1)
    assert (shown["car"].chunk, shown["frog"].chunk) == (0, max(piece.chunk for piece in read))
    assert shown["frog"].chunk >= 2
    assert [piece.text for piece in read if piece.is_break] == ["BREAK"]
    assert all(piece.tokens for piece in read if not piece.is_break)
    assert not any(piece.dropped for piece in read)


def test_the_tokens_of_the_words_are_all_tokens_there_are(each_model: Host) -> None:
    from ebca.webui.family import text_encoder

    text = f"a red car, a crown and it's {LONG}"
    _, count = text_encoder().tokenize_line(text)
    assert sum(piece.tokens for piece in pieces(text)) <= count  # commas may fill a chunk up
    short = "a red car, a crown"
    assert sum(piece.tokens for piece in pieces(short)) == text_encoder().tokenize_line(short)[1]


def test_an_embedding_is_one_piece(host: Host, embedding: str) -> None:
    read = {piece.text: piece for piece in pieces(f"a red car, {embedding}, a crown")}
    assert read[embedding].embedding == embedding
    assert read[embedding].tokens == 3
    assert (read["crown"].tokens, read["crown"].chunk) == (1, 0)
