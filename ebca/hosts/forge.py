"""Forge and its relatives as hosts: one sampling of their CFG denoiser.

They are recognized by their attributes: a model with `forge_objects`, a UNet patcher with
`model_options`. Their denoiser announces a batch of one row an image, and makes the UNet's batch
later and elsewhere: one condition for each AND-separated prompt and one for the negative ones,
last first, in as many calls as the memory requires. EBCA does not guess the rows from that order.
A conditioning modifier, the family's means for extensions, attaches to each condition a list of
its rows, and the host batches these lists along with the conditions.

EBCA observes the layers by the same module hooks as in AUTOMATIC1111's WebUI. Weights may be
offloaded, quantised, or patched with LoRAs on the way: so a linear layer is called, and its weight
is read only if it is stored as the layer applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn

from ebca.core.engine import Call
from ebca.core.evaluation import Evaluation, Row
from ebca.core.layers import Projections, is_plain, is_untouched
from ebca.hosts.contexts import KnownContexts, rows_of_batch
from ebca.hosts.webui import WebUISampling

MARK = "ebca_rows"
"""The name of the rows, in the conditions and in the UNet's arguments."""

REPLACED = (
    "EBCA: another extension replaces the attention of some layers (an IP-Adapter does); in those"
    " EBCA did nothing."
)

_MODIFIERS = "conditioning_modifiers"
"""The model option that lists functions run on the conditions in every call of the denoiser."""


class MarkedRows:
    """The rows of one condition, with the interface of the family's condition classes."""

    def __init__(self, rows: Sequence[Row], tokens: int) -> None:
        """`tokens` is the length of the condition's context; 0 where it does not matter."""
        self.rows, self.tokens = tuple(rows), tokens

    def process_cond(self, **_: Any) -> MarkedRows:
        """Return the rows for one evaluation, unchanged."""
        return self

    def can_concat(self, other: MarkedRows) -> bool:
        """Whether both conditions may be batched: only if their contexts have the same length,
        since the family repeats a shorter one, and EBCA's update of a repeated context differs."""
        return self.tokens == other.tokens

    def concat(self, others: Iterable[MarkedRows]) -> tuple[Row, ...]:
        """Return what the UNet is given: one `Row` for each row of its batch."""
        return tuple(row for each in (self, *others) for row in each.rows)

    def size(self) -> list[int]:
        """Return a size so small that it does not change the host's estimate of memory."""
        return [1]


class ForgeSampling(WebUISampling):
    """EBCA on one sampling of Forge or a relative, between `open` and `close`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modified, self._unet_hooks = ExitStack(), ExitStack()
        self._level: Any = None  # the noise level, in the sampler's terms
        self._asked = False  # whether EBCA's modifier has run in this call of the denoiser

    def close(self) -> None:
        self._modified.close()
        super().close()
        self._unet_hooks.close()

    def _note_announced(self, params: Any) -> None:
        """Note a batch; the host announces it after a refiner takes over, before the conditions."""
        self._modified.close()
        self._announced, self._known, self._batch = params, KnownContexts(), None
        self._own, self._asked = None, False
        if self.gave_back:
            return
        self._follow_unet()
        options = self._denoiser.inner_model.inner_model.forge_objects.unet.model_options
        before = options.get(_MODIFIERS)
        # a closure, since the family deep-copies the options
        options[_MODIFIERS] = [*(before or ()), _modifier(self._mark)]
        if before is None:
            self._modified.callback(options.pop, _MODIFIERS, None)
        else:
            self._modified.callback(options.__setitem__, _MODIFIERS, before)

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        self._level = args[1] if len(args) > 1 else kwargs["sigma"]
        try:
            made = super()._forward(*args, **kwargs)
        finally:
            self._modified.close()
        if self._failure is not None:  # no layer was called to raise it
            raise self._failure
        return made

    # One call of the denoiser: conditions

    def _mark(self, sample: Tensor, uncond: Any, cond: Any, guidance: float) -> None:
        """Attach its rows to each condition, unless another extension made the conditions."""
        self._asked = True
        batch = self._batch = self._describe_batch(self._level, sample, guidance)
        prompts = [len(each) for each in self._sampler.sampler_extra_args["cond"].batch]
        if batch is None or len(cond) != min(prompts) or len(uncond or (None,)) != 1:
            return
        apart = bool(self._methods) or self._trace is not None
        firsts = [sum(prompts[:image]) for image in range(len(prompts))]
        for number, each in enumerate(cond):
            _put(each, [batch.rows[first + number] for first in firsts], apart)
        for each in uncond or ():
            _put(each, batch.rows[sum(prompts) :], apart)

    def _all_rows(self, prompts: Sequence[int]) -> list[Row] | None:
        """Return the rows in the order of the announced encodings, conditional ones first."""
        images = len(prompts)
        if len(self._announced.x) != images:
            return None
        return rows_of_batch(prompts, sum(prompts) + images)

    # One call of the UNet

    def _describe(self, call: Call) -> Evaluation | None:
        """Leave a call before EBCA's modifier alone: an earlier modifier (ControlNet's reference
        picture) may run the model for itself, under the conditions of the evaluation to come."""
        if self._asked or self._failure is not None:
            return super()._describe(call)
        self.strange_evaluations += 1
        return None

    def _follow_unet(self) -> None:
        unet = self._current_unet()
        if self._engine is None or self._engine.unet is not unet:
            self._unet_hooks.close()
            hooks = (  # installed before the engine's hooks, which ask for the rows
                unet.register_forward_pre_hook(self._take_mark, with_kwargs=True),
                unet.register_forward_hook(self._end),
            )
            for hook in hooks:
                self._unet_hooks.callback(hook.remove)
        super()._follow_unet()

    def _take_mark(
        self, _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._own = kwargs.get(MARK)
        if (kwargs.get("transformer_options") or {}).get("patches_replace", {}).get("attn2"):
            self.said.add(REPLACED)
        return args, {name: value for name, value in kwargs.items() if name != MARK}


class ForgeProjections(Projections):
    """The key and value projections of the family's UNets."""

    def key_weight(
        self, to_k: nn.Module, context: Tensor, project: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return the stored weight if the layer applies it as it is, else the measured one.

        A stored weight will do if it has the context's precision and device (a quantised or
        offloaded one has not) and if the layer does not change it in every call."""
        weight = getattr(to_k, "weight", None)
        if isinstance(weight, Tensor) and _stands(to_k, weight, context):
            return weight
        return self.acting_weight(context, project)


_CASTS = ("parameters_manual_cast", "comfy_cast_weights")
"""Attributes by which the family's own linear layers are recognized."""

_ADDED = ("scale_weight", "forge_online_loras", "weight_function")
"""Attributes of such a layer that, where present, change its weight in every call."""


def _stands(to_k: nn.Module, weight: Tensor, context: Tensor) -> bool:
    own = any(hasattr(to_k, name) for name in _CASTS)
    added = (getattr(to_k, name, None) for name in _ADDED)
    return (
        ((own and is_untouched(to_k)) or is_plain(to_k))
        and (weight.dtype, weight.device) == (context.dtype, context.device)
        and not any(isinstance(each, Tensor) or each for each in added)
    )


def _modifier(mark: Callable[[Tensor, Any, Any, float], None]) -> Callable[..., tuple[Any, ...]]:
    def modify(
        model: Any, x: Tensor, timestep: Any, uncond: Any, cond: Any, scale: float, *rest: Any
    ) -> tuple[Any, ...]:
        mark(x, uncond, cond, scale)
        return (model, x, timestep, uncond, cond, scale, *rest)

    return modify


def _put(condition: dict[str, Any], rows: Sequence[Row], apart: bool) -> None:
    """Attach rows to a condition; `apart` bars batching it with contexts of another length."""
    tokens = condition["cross_attn"].shape[1] if apart else 0
    condition["model_conds"][MARK] = MarkedRows(rows, tokens)
