"""After EBCA the model is exactly the model before it."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
import torch
from models import context, distance, encoding, evaluate, latent
from torch import nn

from ebca import Edit, Settings, SettingsError, apply_patch, remove_patch

STRONG = Settings(0.03, 0.05, composition="average")
EDITS = [Edit(context=encoding(9), alpha=0.7, gamma_attn=0.05)]


def contents(value: object) -> object:
    """Identity of a value; of a container, of what it holds."""
    if isinstance(value, dict):
        return [(key, id(item)) for key, item in value.items()]
    if isinstance(value, (list, set, tuple)):
        return [id(item) for item in value]
    return id(value)


def snapshot(model: nn.Module) -> dict[str, object]:
    """Everything that a module holds, and the bits of every weight."""
    attributes = {
        f"{name}.{attribute}": contents(value)
        for name, module in model.named_modules()
        for attribute, value in vars(module).items()
    }
    bits = {f"{name}=": tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
    return {**attributes, **bits}


@pytest.fixture(autouse=True)
def _left_as_found(unet) -> Iterator[None]:
    """Every test here must leave no trace on the model, and its outputs bit-identical."""
    before, off = snapshot(unet), evaluate(unet, latent(2), context(2))
    yield
    assert snapshot(unet) == before
    assert torch.equal(evaluate(unet, latent(2), context(2)), off)


def patched_output(unet) -> torch.Tensor:
    with apply_patch(unet, STRONG, edits=EDITS, conditional_rows=[1]):
        return evaluate(unet, latent(2), context(2))


def test_the_snapshot_sees_a_patch(unet):
    before = snapshot(unet)
    with apply_patch(unet, STRONG):
        assert snapshot(unet) != before


def test_context_manager_exit(unet):
    off = evaluate(unet, latent(2), context(2))
    assert distance(patched_output(unet), off) > 1e-2


def test_context_manager_exit_by_an_exception(unet):
    with pytest.raises(KeyboardInterrupt), apply_patch(unet, STRONG):
        raise KeyboardInterrupt


def test_remove_of_the_handle_may_be_called_again(unet):
    patch = apply_patch(unet, STRONG, edits=EDITS)
    evaluate(unet, latent(2), context(2))
    patch.remove()
    patch.remove()


def test_remove_patch_and_again_on_an_unpatched_model(unet):
    apply_patch(unet, STRONG, edits=EDITS)
    remove_patch(unet)
    remove_patch(unet)


def test_a_second_patch_replaces_the_first(unet):
    expected = patched_output(unet)
    average = Settings(0.5, 0.5, composition="average")
    with apply_patch(unet, average, edits=[Edit(context=encoding(3), alpha=2.0)]):
        once = snapshot(unet)
        assert torch.equal(patched_output(unet), expected)
    apply_patch(unet, Settings(0.5, 0.5))
    second = apply_patch(unet, STRONG, edits=EDITS, conditional_rows=[1])
    assert {key: len(v) for key, v in snapshot(unet).items() if "hooks" in key} == {
        key: len(v) for key, v in once.items() if "hooks" in key
    }
    assert torch.equal(evaluate(unet, latent(2), context(2)), expected)
    second.remove()


def test_removing_the_replaced_handle_leaves_the_new_patch_on(unet):
    expected = patched_output(unet)
    first = apply_patch(unet, Settings(0.5, 0.5))
    with apply_patch(unet, STRONG, edits=EDITS, conditional_rows=[1]):
        first.remove()
        assert torch.equal(evaluate(unet, latent(2), context(2)), expected)


def test_a_refused_second_patch_leaves_the_first_one_on(unet):
    expected = patched_output(unet)
    with apply_patch(unet, STRONG, edits=EDITS, conditional_rows=[1]):
        with pytest.raises(SettingsError):
            apply_patch(unet, Settings(layers="99"))
        assert torch.equal(evaluate(unet, latent(2), context(2)), expected)


def attention_modules(unet) -> list[nn.Module]:
    return [module for name, module in unet.named_modules() if name.endswith("attn2")]


@pytest.mark.parametrize("where", ["down_blocks.0", "mid_block", "up_blocks.2", "conv_out"])
def test_an_exception_inside_the_forward(unet, where):
    expected = patched_output(unet)

    def fail(_module, _args):
        raise RuntimeError("out of memory")

    with apply_patch(unet, STRONG, edits=EDITS, conditional_rows=[1]):
        failing = unet.get_submodule(where).register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            evaluate(unet, latent(2), context(2))
        failing.remove()
        assert torch.equal(evaluate(unet, latent(2), context(2)), expected)  # and goes on


@pytest.mark.parametrize("linear", ["to_q", "to_k"])
@pytest.mark.parametrize("layer", [0, 3, -1])
def test_an_install_that_fails_half_way(unet, monkeypatch, layer, linear):
    def refuse(*_args, **_options):
        raise RuntimeError("no more hooks")

    target = getattr(attention_modules(unet)[layer], linear)
    with monkeypatch.context() as patching:
        patching.setattr(target, "register_forward_hook", refuse)
        before = snapshot(unet)
        with pytest.raises(RuntimeError, match="no more hooks"):
            apply_patch(unet, STRONG, edits=EDITS)
        assert snapshot(unet) == before


def test_other_peoples_hooks_survive_and_fire(unet):
    """Hooks on the layer and its linears, registered before and after, removed in any order."""
    fired: list[str] = []
    layer = attention_modules(unet)[2]

    def listen(when: str) -> list[torch.utils.hooks.RemovableHandle]:
        return [
            *(
                module.register_forward_hook(lambda *_: fired.append(when))
                for module in (unet, layer, layer.to_q, layer.to_k, layer.to_out[0])
            ),
            layer.register_forward_pre_hook(lambda *_: fired.append(when)),
        ]

    expected = patched_output(unet)
    before = listen("before")
    patch = apply_patch(unet, STRONG, edits=EDITS, conditional_rows=[1])
    after = listen("after")
    on = evaluate(unet, latent(2), context(2))
    assert distance(on, expected) < 1e-5
    assert {when: fired.count(when) >= 6 for when in ("before", "after")} == {
        "before": True,
        "after": True,
    }
    patch.remove()
    fired.clear()
    evaluate(unet, latent(2), context(2))
    assert sorted(fired) == ["after"] * 6 + ["before"] * 6
    for handle in (*after, *before):
        handle.remove()


def test_hooks_that_others_remove_while_the_patch_is_on(unet):
    expected = patched_output(unet)
    theirs = attention_modules(unet)[0].register_forward_hook(lambda *_: None)
    with apply_patch(unet, STRONG, edits=EDITS, conditional_rows=[1]):
        theirs.remove()
        assert torch.equal(evaluate(unet, latent(2), context(2)), expected)


def test_a_patch_on_one_model_leaves_another_alone(unet):
    other = nn.Module()
    with suppress(TypeError), apply_patch(other, STRONG):
        pass
    with apply_patch(unet, STRONG):
        remove_patch(other)
        assert len(unet._forward_pre_hooks) == 1
