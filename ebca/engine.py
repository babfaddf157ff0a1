"""The engine: follows a UNet evaluation layer by layer and takes the methods' steps in it.

The host's own forward, whatever optimisation or adapter it uses, stays in charge; the engine only
listens and nudges through the module hooks of `ebca.visit`. No host is known here. Shape letters
as in `ebca.energy`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ebca.attention import attend, merge_heads, split_heads
from ebca.bcu import context_update, spread_apart
from ebca.cacao import average
from ebca.cascade import Bundle, Cascade, Rows
from ebca.composition import Evaluation
from ebca.layers import Layer, Projections, find_layers, select_layers
from ebca.settings import Settings, StepSizes
from ebca.trace import Trace
from ebca.visit import LayerHooks, Visit

REFERENCE_DEPTH = 16
"""Number of cross-attention layers of SD1.5, to which the published step sizes belong."""

UNMASKED_LAYER = (
    "EBCA: the inpaint mask was not applied in layers whose size is none of the picture's: another"
    " extension has changed it."
)

_ALL = slice(None)


class Call(NamedTuple):
    """The arguments of a UNet call that a host needs in order to describe the evaluation."""

    sample: Tensor
    timestep: Tensor | float
    context: Any = None

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        def get(position: int, *names: str) -> Any:
            named = (kwargs[name] for name in names if name in kwargs)
            return args[position] if position < len(args) else next(named, None)

        context = get(2, "encoder_hidden_states", "context")
        return cls(get(0, "sample", "x"), get(1, "timestep", "timesteps"), context)


class Engine:
    """BCU and CACAO on one UNet, from `install` to `remove`."""

    def __init__(
        self,
        unet: nn.Module,
        settings: Settings,
        describe: Callable[[Call], Evaluation | None],
        *,
        composes: bool,
        trace: Trace | None = None,
        projections: Projections | None = None,
        say: Callable[[str], None] = warnings.warn,
    ) -> None:
        """`describe` is asked at every UNet call; None leaves the call alone. `composes` tells
        whether any evaluation may have editorial prompts. `projections` are the host's. `say`
        takes what cannot be done, which is no reason to stop. Raises NoCrossAttentionError or
        SettingsError."""
        self.unet, self.settings, self.trace = unet, settings, trace
        self.layers = find_layers(unet)
        self._describe, self._composes, self._say = describe, composes, say
        self._projections = projections or Projections()
        self._updating = {layer.index for layer in select_layers(self.layers, settings.layers)}
        self._depth_scale = REFERENCE_DEPTH / len(self.layers) if settings.scale_with_depth else 1.0
        self._cascade: Cascade | None = None
        self._visit: Visit | None = None
        self._hooks = ExitStack()

    # Installing and removing

    def install(self) -> None:
        """Add the hooks, all or none of them. Where there is nothing to do, none is needed."""
        if self.settings.inert and not self._composes and self.trace is None:
            return
        with ExitStack() as hooks:
            begin = self.unet.register_forward_pre_hook(self._begin, with_kwargs=True)
            hooks.callback(begin.remove)
            hooks.callback(self.unet.register_forward_hook(self._end).remove)
            for layer in self.layers:
                for register, hook, with_kwargs in LayerHooks(layer, self).registrations():
                    handle = register(hook, **({"with_kwargs": True} if with_kwargs else {}))
                    hooks.callback(handle.remove)
            self._hooks = hooks.pop_all()

    def remove(self) -> None:
        """Take every hook away; the UNet is as it was before. May be called again."""
        self._hooks.close()
        self._cascade = self._visit = None

    # One evaluation

    def _begin(self, _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._cascade = self._visit = None
        evaluation = self._describe(Call.of(args, kwargs))
        if evaluation is None:
            return
        steps = self.settings.step_sizes(evaluation.progress).times(self._depth_scale)
        edits = (edit for image in evaluation.images for edit in image.edits)
        if any(steps) or self.trace or any(edit.active(evaluation.progress) for edit in edits):
            self._cascade = Cascade(evaluation, self.settings, steps, self._depth_scale)
            if self.trace:
                self.trace.begin()

    def _end(self, unet: nn.Module, _args: Any, _output: Any) -> None:
        if self._cascade is not None and not self._cascade.begun:
            warnings.warn(
                f"EBCA: no effect: {type(unet).__name__} ran without calling its cross-attention"
                " layers with the expected rows (a compiled UNet must be compiled after patching).",
                stacklevel=2,
            )
        self._cascade = self._visit = None

    # One layer, as told by its hooks

    def arrive(self, layer: Layer, hidden: Tensor, context: Tensor) -> Visit | None:
        """A layer is called. None if it is called with anything but this evaluation's rows."""
        self._visit = None
        cascade = self._cascade
        if cascade is None or context.shape[0] != len(cascade.evaluation.rows):
            return None
        if not cascade.begun or layer is cascade.first:
            cascade.begin(context, layer)
        self._visit = Visit(
            layer, hidden, context, cascade.main.current(context), self._projections
        )
        return self._visit

    def visiting(self, layer: Layer) -> Visit | None:
        """The visit under way, if it is one of `layer`."""
        visit = self._visit
        return visit if visit is not None and visit.layer is layer else None

    def compose_heads(self, visit: Visit, heads_out: Tensor) -> Tensor:
        """Average the conditional rows of the heads' output [b, n, h*d] with their edits'."""
        visit.composed = True
        return self._compose(visit, heads_out, lambda heads: heads)

    def depart(self, visit: Visit, output: Tensor) -> Tensor:
        """A layer is done: compose now if its heads were not seen, then take the BCU step."""
        if not visit.composed:
            visit.composed = True
            output = self._compose(visit, output, lambda heads: _project_out(visit, heads))
        self._advance(visit)
        self._visit = None
        return output

    # CACAO

    def _compose(self, visit: Visit, output: Tensor, finish: Callable[[Tensor], Tensor]) -> Tensor:
        bundles = self._active_cascade.bundles
        extra: Tensor | None = None
        if bundles and visit.extras:  # only what comes from the text is averaged
            value = visit.project("to_v", visit.context)
            text = finish(self._attend(visit.layer, visit.query, visit.key, value))
            output, extra = text, output - text
        self._project_stacks(visit)
        for bundle in bundles:
            editorial = ((alpha, finish(heads)) for alpha, heads in self._editorial(visit, bundle))
            rows = bundle.rows
            output = _with_rows(output, rows, average(output[rows], editorial))
        return output if extra is None else output + extra

    def _editorial(self, visit: Visit, bundle: Bundle) -> Iterator[tuple[float, Tensor]]:
        """(alpha, heads' output [rows, n, h*d]) of each editorial prompt of a bundle."""
        query = visit.query[bundle.rows]
        for stack in bundle.stacks:
            keys, values = stack.slots(stack.key), stack.slots(stack.value)
            for alpha, key, value in zip(stack.alphas, keys, values, strict=True):
                yield alpha, self._attend(visit.layer, query, key, value)

    def _project_stacks(self, visit: Visit) -> None:
        """Keys and values of all editorial contexts at this layer, in one projection each."""
        stacks = [stack for bundle in self._active_cascade.bundles for stack in bundle.stacks]
        if not stacks:
            return
        for stack in stacks:
            stack.current = stack.context.current(stack.start)
        packed = torch.cat([stack.current.flatten(0, 1) for stack in stacks])[None]
        sizes = [stack.start.shape[0] * stack.start.shape[1] for stack in stacks]
        to_k, to_v = self._projections.inputs(packed)
        keys = torch.split(visit.project("to_k", to_k)[0], sizes)
        values = torch.split(visit.project("to_v", to_v)[0], sizes)
        for stack, key, value in zip(stacks, keys, values, strict=True):
            stack.key = key.reshape(*stack.start.shape[:2], -1)
            stack.value = value.reshape(*stack.start.shape[:2], -1)

    def _attend(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The heads' output [b, n, h*d], computed as precisely as the host does for its own."""
        dtype, beta = query.dtype, layer.beta(query.shape[-1])
        if self._projections.upcast(layer):
            query, key, value = query.float(), key.float(), value.float()
        query, key, value = (split_heads(packed, layer.heads) for packed in (query, key, value))
        return merge_heads(attend(query, key, value, beta)).to(dtype)

    # BCU

    @torch.no_grad()
    def _advance(self, visit: Visit) -> None:
        """Take the step of every context that has one, for the next layer to see."""
        cascade, layer = self._active_cascade, visit.layer
        is_last = layer is self.layers[-1]  # no layer would see its update
        updating = layer.index in self._updating and not is_last and cascade.moves
        if not updating and self.trace is None:
            return
        with torch.autocast(visit.hidden.device.type, enabled=False):
            weight = self._projections.key_weight(
                layer.linear("to_k"), visit.context, lambda units: visit.project("to_k", units)
            )
            mask = cascade.mask(visit.query)
            if mask is None and cascade.masked:
                self._say(UNMASKED_LAYER)
            rows, taken = cascade.update_rows, None
            if updating and any(cascade.step_sizes):
                update = self._update(visit, visit.context[rows], visit.key[rows], weight, rows,
                                      cascade.step_sizes, mask, cascade.token_weights)  # fmt: skip
                taken = cascade.main.advance(visit.start, update, rows)
            for bundle in cascade.bundles if updating else ():
                for stack in filter(lambda stack: any(stack.step_sizes), bundle.stacks):
                    update = self._update(visit, stack.current, stack.key, weight, bundle.rows,
                                          stack.step_sizes, mask, stack.token_weights)  # fmt: skip
                    stack.context.advance(stack.start, update, _ALL)
            if self.trace is not None:
                self.trace.record(
                    layer, cascade.evaluation.progress, self.settings.formulation,
                    visit.query[rows], visit.key[rows], visit.context[rows], taken, weight,
                    None if mask is None else mask[rows],
                )  # fmt: skip

    def _update(
        self, visit: Visit, context: Tensor, key: Tensor, weight: Tensor, rows: Rows,
        step_sizes: StepSizes, mask: Tensor | None, token_weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        update = context_update(
            visit.query[rows],
            key,
            weight,
            heads=visit.layer.heads,
            beta=visit.layer.beta(key.shape[-1]),
            gamma_attn=step_sizes.attn,
            gamma_norm=step_sizes.norm,
            formulation=self.settings.formulation,
            token_weights=token_weights,
            mask=None if mask is None else mask[rows],
        )
        update = self._projections.pull_back(context, update)
        return spread_apart(update, context, step_sizes.spread, self.settings.centered)

    @property
    def _active_cascade(self) -> Cascade:
        assert self._cascade is not None, "a visit outlived its evaluation"
        return self._cascade


def _project_out(visit: Visit, heads: Tensor) -> Tensor:
    for part in visit.layer.output:
        heads = part(heads)
    return heads


def _with_rows(whole: Tensor, rows: Rows, part: Tensor) -> Tensor:
    """`whole` with `rows` replaced by `part`; a new tensor."""
    if part.shape[0] == whole.shape[0]:
        return part
    replaced = whole.clone()
    replaced[rows] = part
    return replaced
