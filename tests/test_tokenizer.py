"""The small model's tokenizer: CLIP's, without what captions do not need."""

import json

from transformers import CLIPTokenizer

from small_model.networks import TOKENIZER
from small_model.tokenizer import shrink


def test_what_is_kept_splits_the_texts_as_before_and_spells_out_the_rest(tmp_path):
    texts = ["a red balloon", "on the beach, at night"]
    shrink(TOKENIZER, tmp_path, texts)
    whole, small = (CLIPTokenizer.from_pretrained(str(path)) for path in (TOKENIZER, tmp_path))
    for text in texts:
        assert small.tokenize(text) == whole.tokenize(text)
        assert small(text).input_ids != whole(text).input_ids
    assert len(whole.tokenize("purple")) == 1
    assert "".join(small.tokenize("purple")) == "purple</w>"
    assert len(small.tokenize("purple")) > 1
    assert 512 < len(small) < len(whole)


def test_numbers_have_no_gaps_and_begin_and_end_are_last(tmp_path):
    shrink(TOKENIZER, tmp_path, ["a car"])
    numbers = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert sorted(numbers.values()) == list(range(len(numbers)))
    small = CLIPTokenizer.from_pretrained(str(tmp_path))
    assert (small.bos_token_id, small.eos_token_id) == (len(numbers) - 2, len(numbers) - 1)


def test_the_released_tokenizer_needs_nothing_else(tmp_path):
    from small_model.captions import vocabulary

    shrink(TOKENIZER, tmp_path, vocabulary())
    for name in ("vocab.json", "merges.txt"):
        assert (tmp_path / name).read_bytes() == (TOKENIZER / name).read_bytes()
