"""The engine: follows a UNet evaluation layer by layer and changes it as the methods say.

The host's own forward, with all its optimisations and adapters, stays in charge; the engine only
observes and adjusts it through the module hooks of `ebca.core.hooks`. The engine knows no host, and
only the mixes and steps of a method (`ebca.core.method`). Shape letters as in `ebca.core.method`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ebca.core.attention import attend, merge_heads, split_heads
from ebca.core.cascade import (
    Cascade,
    DriftingContext,
    MixedRows,
    Rows,
    Steps,
    as_rows,
    level_size,
    moment_of,
)
from ebca.core.evaluation import Evaluation
from ebca.core.hooks import LayerCall, LayerHooks
from ebca.core.layers import Layer, Projections, find_layers
from ebca.core.maps import Maps
from ebca.core.method import At, Method, SeenRow
from ebca.core.mixing import Weight, mixed, moved_away
from ebca.core.trace import Trace

UNMASKED_LAYER = (
    "EBCA: another extension changes the size of some layers; in those the inpaint mask was not"
    " applied."
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
    """The hooks of all active methods on one UNet, from `install` to `remove`."""

    def __init__(
        self,
        unet: nn.Module,
        methods: Sequence[Method],
        describe: Callable[[Call], Evaluation | None],
        *,
        trace: Trace | None = None,
        projections: Projections | None = None,
        say: Callable[[str], None] = warnings.warn,
        acted: set[Method] | None = None,
    ) -> None:
        """Find the layers of `unet`. Raises NoCrossAttentionError.

        `methods` are those with something to do. `describe` is called at every UNet call; if it
        returns None, the call is left alone. `projections` are the host's. `say` gets messages
        about what cannot be done but does not stop the run. `acted` collects the methods that have
        done something.
        """
        self.unet, self.methods, self.trace = unet, tuple(methods), trace
        self.layers = find_layers(unet)
        self._describe, self.say = describe, say
        self.acted: set[Method] = set() if acted is None else acted
        self._projections = projections or Projections()
        self._cascade: Cascade | None = None
        self._call: LayerCall | None = None
        self._watched = False  # whether the trace follows the evaluation under way
        self._hooks = ExitStack()

    # Installing and removing

    def install(self) -> None:
        """Add the hooks, all or none of them; add none if there is neither a method nor a trace."""
        if not self.methods and self.trace is None:
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
        """Remove every hook; the UNet is as it was before. May be called again."""
        self._hooks.close()
        self._cascade = self._call = None

    # One evaluation

    def _begin(self, _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._cascade = self._call = None
        evaluation = self._describe(Call.of(args, kwargs))
        if evaluation is None:
            return
        cascade = Cascade(evaluation, self.methods)
        self._watched = self.trace is not None and self.trace.begin(
            evaluation, [plan.mix for plan in cascade.plans]
        )
        if self._watched or not cascade.idle:
            self._cascade = cascade
        self.acted.update(method for plan in cascade.plans for method in plan.acting)

    def _end(self, unet: nn.Module, _args: Any, _output: Any) -> None:
        if self._cascade is not None and not self._cascade.started:
            warnings.warn(
                f"EBCA: no effect: {type(unet).__name__} ran without calling its cross-attention"
                " layers with the expected rows (a compiled UNet must be compiled after patching).",
                stacklevel=2,
            )
        elif self._cascade is not None:
            for method in self._cascade.seeing:
                method.saw(self._seen_rows(method, self._cascade.evaluation))
            if self.trace is not None:
                self.trace.end()
        self._cascade = self._call = None

    # One layer, called by its hooks

    def arrive(self, layer: Layer, hidden: Tensor, context: Tensor) -> LayerCall | None:
        """Begin a call of `layer`; return None if its rows are not those of this evaluation."""
        self._call = None
        cascade = self._cascade
        if cascade is None or context.shape[0] != len(cascade.evaluation.rows):
            return None
        if not cascade.started or layer is cascade.first:
            cascade.begin(context, layer)
            if self.trace is not None:
                self.trace.restart()
        self._call = LayerCall(
            layer, hidden, context, cascade.main.current(context), self._projections
        )
        return self._call

    def current_call(self, layer: Layer) -> LayerCall | None:
        """Return the current call if it is a call of `layer`."""
        call = self._call
        return call if call is not None and call.layer is layer else None

    def mix_heads(self, call: LayerCall, heads_out: Tensor) -> Tensor:
        """Mix the conditional rows of the heads' output [b, n, h*d]."""
        call.mixed = True
        return self._mix(call, heads_out, None)

    def depart(self, call: LayerCall, output: Tensor) -> Tensor:
        """End the call of a layer: mix now if its heads were not seen, then take the steps."""
        if not call.mixed:
            call.mixed = True
            output = self._mix(call, output, lambda heads: _project_out(call, heads))
        self._advance(call)
        self._call = None
        return output

    # The mix

    def _mix(
        self, call: LayerCall, output: Tensor, finish: Callable[[Tensor], Tensor] | None
    ) -> Tensor:
        """Return `output` with the conditional rows mixed.

        `finish` turns the heads' output into the layer's output; None where the heads' output
        itself is wanted.
        """
        groups = self._active_cascade.mixed
        extra: Tensor | None = None
        finished = finish or (lambda heads: heads)
        if groups and call.extras:  # only the part that comes from the text is mixed
            text = finished(self._attend(call.layer, call.query, call.key, call.value))
            output, extra = text, output - text
        self._project_branches(call)
        for group in groups:
            branches = self._branches(call, group)
            away = [(each.weight, each.output) for each in branches if each.away]
            others = [each.through(finished) for each in branches if not each.away]
            main = moved = output[group.rows]
            if group.veiled or (away and finish):
                heads = self._main_heads(call, group)
                main, moved = finished(heads), finished(moved_away(heads, away))
            elif away:
                moved = moved_away(main, away)
            if mapping := self._mapping(call):
                self._map_changes(*mapping, group, main, others)
            pairs = [(each.weight, each.output) for each in others]
            new = mixed(moved, main, self._active_cascade.weight(group.main, call.query), pairs)
            output = _with_rows(output, group.rows, new)
        return output if extra is None else output + extra

    def _branches(self, call: LayerCall, group: MixedRows) -> list[Computed]:
        """Return a group's branches with their outputs; equal lengths share one attention."""
        query, computed = call.query[group.rows], []
        for stack in group.stacks:
            count = len(stack.places)
            queries = query[None].expand(count, *query.shape).flatten(0, 1)
            outputs = self._attend(call.layer, queries, stack.key, stack.value).chunk(count)
            for slot, output in enumerate(outputs):
                weight = self._active_cascade.weight(stack.weights[slot], call.query)
                computed.append(Computed(stack.places[slot], weight, output, stack.away[slot]))
        return computed

    def _main_heads(self, call: LayerCall, group: MixedRows) -> Tensor:
        """Compute the main heads' output [rows, n, h*d] of a group through its veils."""
        rows, query = group.rows, call.query[group.rows]
        bias = self._active_cascade.bias(group, query, call.key.shape[1]) if group.veiled else None
        return self._attend(call.layer, query, call.key[rows], call.value[rows], bias)

    def _project_branches(self, call: LayerCall) -> None:
        """Compute keys and values of all branches' contexts, in one projection each."""
        stacks = [stack for group in self._active_cascade.mixed for stack in group.stacks]
        if not stacks:
            return
        for stack in stacks:
            stack.current = stack.context.current(stack.start)
        packed = torch.cat([stack.current.flatten(0, 1) for stack in stacks])[None]
        sizes = [stack.start.shape[0] * stack.start.shape[1] for stack in stacks]
        to_k, to_v = self._projections.inputs(packed)
        keys = torch.split(call.project("to_k", to_k)[0], sizes)
        values = torch.split(call.project("to_v", to_v)[0], sizes)
        for stack, key, value in zip(stacks, keys, values, strict=True):
            stack.key = key.reshape(*stack.start.shape[:2], -1)
            stack.value = value.reshape(*stack.start.shape[:2], -1)

    def _attend(
        self, layer: Layer, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """Return the heads' output [b, n, h*d], as precise as the host's own.

        `bias` [b, 1, n, t] is added to the scores.
        """
        dtype, beta = query.dtype, layer.beta(query.shape[-1])
        if self._projections.upcast(layer):
            query, key, value = query.float(), key.float(), value.float()
        query, key, value = (split_heads(packed, layer.heads) for packed in (query, key, value))
        bias = None if bias is None else bias.to(query.dtype)
        return merge_heads(attend(query, key, value, beta, bias)).to(dtype)

    # The steps

    @torch.no_grad()
    def _advance(self, call: LayerCall) -> None:
        """Take the step of every context that has one, for the next layer."""
        cascade, layer = self._active_cascade, call.layer
        moves = cascade.moves and layer is not self.layers[-1]  # no layer would see the update
        seeing = cascade.seeing
        trace = self.trace if self._watched else None
        if mapping := self._mapping(call):
            self._map(*mapping, call)
        if trace is not None and not trace.energies:
            trace = None
        if not moves and not seeing and trace is None:
            return
        with torch.autocast(call.hidden.device.type, enabled=False):
            look = _Look(self, call, cascade)
            for method in seeing:
                self._show(method, look)
            for group in cascade.moving if moves else ():
                at = look.at(call.context[group.rows], call.key[group.rows], group.rows,
                             group.token_weights)  # fmt: skip
                taken = _take(group.steps, at, cascade.main, call.start, group.rows)
                if trace is not None:
                    trace.record(at, cascade.evaluation.clock.progress, taken)
            for mixed_rows in cascade.mixed if moves else ():
                for stack in mixed_rows.stacks:
                    if stack.steps:
                        at = look.at(stack.current, stack.key, mixed_rows.rows, stack.token_weights)
                        _take(stack.steps, at, stack.context, stack.start, _ALL)
            if trace is not None and not (moves and cascade.moving):
                rows = _conditional(cascade.evaluation, call.hidden.device)
                at = look.at(call.context[rows], call.key[rows], rows, None)
                trace.record(at, cascade.evaluation.clock.progress, None)

    def _mapping(self, call: LayerCall) -> tuple[Maps, tuple[int, int]] | None:
        """Return the maps and the layer's size (h, w); None if no map is made of this layer."""
        maps = self.trace.maps if self.trace is not None and self._watched else None
        size = level_size(self._active_cascade.evaluation.size, call.hidden.shape[1])
        return (maps, size) if maps and size and maps.wants(call.layer, size) else None

    def _map(self, maps: Maps, size: tuple[int, int], call: LayerCall) -> None:
        """Pass the conditional rows of a layer to the maps."""
        cascade = self._active_cascade
        rows = _conditional(cascade.evaluation, call.hidden.device)
        query, key = call.query[rows], call.key[rows]
        with torch.autocast(call.hidden.device.type, enabled=False):
            maps.see(call.layer, size, query, key, self._veils(call, query, key))

    def _veils(self, call: LayerCall, query: Tensor, key: Tensor) -> Tensor | None:
        """Return what veils add to all conditional rows' scores, [r, 1, n, t], or None."""
        veiled = [group for group in self._active_cascade.mixed if group.veiled]
        if not veiled:
            return None
        bias = query.new_zeros(len(query), 1, query.shape[1], key.shape[1], dtype=torch.float32)
        for group in veiled:
            added = self._active_cascade.bias(group, call.query[group.rows], key.shape[1])
            bias[self._places(group)] = added.to(bias)
        return bias

    def _places(self, group: MixedRows) -> list[int]:
        """Return the indices of a group's rows among the conditional rows."""
        rows = self._active_cascade.evaluation.rows
        conditional = [index for index, row in enumerate(rows) if row.conditional]
        return [conditional.index(index) for index in group.indices]

    @torch.no_grad()
    def _map_changes(
        self,
        maps: Maps,
        size: tuple[int, int],
        group: MixedRows,
        plain: Tensor,
        branches: Sequence[Computed],
    ) -> None:
        """Pass to the maps what the branches of a group change."""
        with torch.autocast(plain.device.type, enabled=False):
            maps.see_changes(
                self._places(group), size, plain, {each.place: each[1:3] for each in branches}
            )

    def _show(self, method: Method, look: _Look) -> None:
        """Pass the conditional rows of a layer to a method."""
        evaluation, call = self._active_cascade.evaluation, look.call
        seen = self._seen_rows(method, evaluation)
        if not seen:  # the WebUI may evaluate other rows alone
            return
        rows = _conditional(evaluation, call.hidden.device)
        method.see(look.at(call.context[rows], call.key[rows], rows, None), seen)

    def _seen_rows(self, method: Method, evaluation: Evaluation) -> list[SeenRow]:
        """Return the conditional rows of an evaluation in the form that a method gets."""
        images = [evaluation.images[row.image] for row in evaluation.rows if row.conditional]
        return [
            SeenRow(image.prompt, moment_of(method, image, evaluation), image.mask)
            for image in images
        ]

    @property
    def _active_cascade(self) -> Cascade:
        assert self._cascade is not None, "a call of a layer outlived its evaluation"
        return self._cascade


class _Look:
    """Makes the `At` of one layer for any of its contexts and rows."""

    def __init__(self, engine: Engine, call: LayerCall, cascade: Cascade) -> None:
        self.call, self._cascade, self._layers = call, cascade, len(engine.layers)
        self._projections, self._say = engine._projections, engine.say
        self._key_weight = self._projections.key_weight(
            call.layer.linear("to_k"), call.context, lambda units: call.project("to_k", units)
        )

    def at(self, context: Tensor, key: Tensor, rows: Rows, token_weights: Tensor | None) -> At:
        def mask() -> Tensor | None:
            whole = self._cascade.mask(self.call.query)
            if whole is None and self._cascade.masked:
                self._say(UNMASKED_LAYER)
            return None if whole is None else whole[rows]

        return At(
            self.call.layer,
            self._layers,
            self._cascade.evaluation.size,
            level_size(self._cascade.evaluation.size, self.call.query.shape[1]),
            self.call.query[rows],
            key,
            context,
            self._key_weight,
            token_weights,
            mask,
            lambda update: self._projections.pull_back(context, update),
        )


class Computed(NamedTuple):
    """The output of a branch at a layer.

    `place` is its index in the mix, `weight` a number or [rows, 1 or n, 1], `output` [rows, n,
    h*d], `away` as in `Branch`.
    """

    place: int
    weight: Weight
    output: Tensor
    away: bool = False

    def through(self, finish: Callable[[Tensor], Tensor]) -> Computed:
        """Return a copy whose output went through `finish`."""
        return self._replace(output=finish(self.output))


def _take(
    steps: Steps, at: At, context: DriftingContext, start: Tensor, rows: Rows
) -> Tensor | None:
    """Move a context along all its steps; return the sum, None if no step acts at the layer."""
    updates = [step.update(at) for step in steps if step.acts(at.layer)]
    if not updates:
        return None
    total = updates[0] if len(updates) == 1 else torch.stack(updates).sum(0)
    context.advance(start, total, rows)
    return total


def _conditional(evaluation: Evaluation, device: torch.device) -> Rows:
    return as_rows([i for i, row in enumerate(evaluation.rows) if row.conditional], device)


def _project_out(call: LayerCall, heads: Tensor) -> Tensor:
    for part in call.layer.output:
        heads = part(heads)
    return heads


def _with_rows(whole: Tensor, rows: Rows, part: Tensor) -> Tensor:
    """Return a new tensor: `whole` with `rows` replaced by `part`."""
    if part.shape[0] == whole.shape[0]:
        return part
    replaced = whole.clone()
    replaced[rows] = part
    return replaced
