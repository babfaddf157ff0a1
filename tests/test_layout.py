"""The layout of a picture: noted while the model sees it, and held in an edit."""

import pytest
import torch
from models import context, noise, tiny_unet
from torch import nn

from ebca.core.engine import Engine
from ebca.core.evaluation import Evaluation, Image, Row
from ebca.core.layout import Layout, Noted
from ebca.methods.method import Clock
from ebca.settings import SettingsError

LEVEL = 300
SOURCE, EDIT = noise(2, 4, 8, 8, seed=1), noise(4, 4, 8, 8, seed=2)
TEXT = context(4)
ROWS = [Row(0, False), Row(1, False), Row(0, True), Row(1, True)]


@pytest.fixture
def unet():
    made = tiny_unet()
    yield made
    hooked = [m for m in made.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooked


@torch.no_grad()
def noted(unet, at=LEVEL, parts=1, source=SOURCE):
    found = Noted()
    with found.evaluation(unet):
        texts = TEXT[2 : 2 + len(source)].chunk(parts)
        for part, text in zip(source.chunk(parts), texts, strict=True):
            unet(part, at, text)
    return found


@torch.no_grad()
def edited(unet, layout, at=LEVEL, sample=EDIT, images=2):
    evaluation = Evaluation(
        ROWS, [Image(number=i) for i in range(images)], Clock(lambda: (0.0, 0.0)), (8, 8)
    )
    engine = Engine(unet, (), lambda _: evaluation, layout=layout)
    engine.install()
    try:
        return unet(sample, at, TEXT, return_dict=False)[0]
    finally:
        engine.remove()


def attended(unet, run):
    """Queries, keys and values of the first self-attention layer while `run` runs."""
    name, layer = next((n, m) for n, m in unet.named_modules() if n.endswith("attn1"))
    seen, hooks = {}, []
    for linear in ("to_q", "to_k", "to_v"):

        def see(_module, _args, output, linear=linear):
            seen[linear] = output

        hooks.append(getattr(layer, linear).register_forward_hook(see))
    run()
    for hook in hooks:
        hook.remove()
    return name, seen


def test_conditional_rows_go_towards_the_source_and_others_stay(unet):
    known = noted(unet)
    name, free = attended(unet, lambda: edited(unet, None))

    def held():  # seen by hooks that come later than the engine's
        evaluation = Evaluation(
            ROWS, [Image(number=i) for i in range(2)], Clock(lambda: (0.0, 0.0)), (8, 8)
        )
        engine = Engine(unet, (), lambda _: evaluation, layout=Layout(known, 0.25))
        engine.install()
        _, seen = attended(unet, lambda: unet(EDIT, LEVEL, TEXT))
        engine.remove()
        return seen

    with torch.no_grad():
        moved = held()
    for linear in ("to_q", "to_k"):
        source = known.parts[LEVEL][f"{name}.{linear}"][0]
        assert torch.equal(moved[linear][:2], free[linear][:2])
        assert torch.allclose(moved[linear][2:], free[linear][2:].lerp(source, 0.25), atol=1e-6)
    assert torch.equal(moved["to_v"], free["to_v"])


def test_the_source_itself_stays(unet):
    """An edit that is its source is moved to where it is."""
    sample = torch.cat([SOURCE, SOURCE])
    free, held = (edited(unet, each, sample=sample) for each in (None, Layout(noted(unet))))
    assert torch.allclose(free, held, atol=1e-5)


def test_nothing_at_strength_0_and_at_other_levels(unet):
    free = edited(unet, None)
    known = noted(unet)
    assert torch.equal(edited(unet, Layout(known, 0.0)), free)
    other = edited(unet, None, at=LEVEL + 1)
    assert torch.equal(edited(unet, Layout(known), at=LEVEL + 1), other)
    assert not torch.equal(edited(unet, Layout(known)), free)


def test_a_batch_may_be_evaluated_in_parts(unet):
    whole, parts = (edited(unet, Layout(noted(unet, parts=count))) for count in (1, 2))
    assert torch.allclose(whole, parts, atol=1e-6)


def test_pictures_beyond_the_sources_begin_again(unet):
    one = noted(unet, source=SOURCE[:1])
    of_one = one.parts[LEVEL].items()
    twice = Noted({LEVEL: {name: 2 * parts for name, parts in of_one}})
    held = [edited(unet, Layout(known)) for known in (one, twice)]
    assert torch.allclose(*held, atol=1e-6)


def test_a_piece_of_the_picture_is_left(unet):
    large = noted(unet, source=noise(2, 4, 16, 16))
    assert torch.equal(edited(unet, Layout(large)), edited(unet, None))


def test_a_second_evaluation_takes_the_place_of_the_first(unet):
    known = noted(unet)
    with torch.no_grad(), known.evaluation(unet):
        unet(EDIT[:2], LEVEL, TEXT[:2])
    name = next(iter(known.parts[LEVEL]))
    assert len(known.parts[LEVEL][name]) == 1
    assert known.size == sum(part[0].numel() * 4 for part in known.parts[LEVEL].values())


def test_too_much_is_refused(unet, monkeypatch):
    monkeypatch.setattr("ebca.core.layout._MOST", 2**10)
    with pytest.raises(SettingsError, match="keep_layout is 'above 0', but must be 0 here"):
        noted(unet)


def test_cross_attention_is_not_touched(unet):
    assert all(".attn1." in name for name in noted(unet).parts[LEVEL])
    linears = [m for n, m in unet.named_modules() if ".attn1.to_" in n and isinstance(m, nn.Linear)]
    assert len(noted(unet).parts[LEVEL]) == 2 * len(linears) / 4
