"""The layout of a picture, held by its own self-attention.

What a pixel attends to within the picture, softmax(beta Q K^T), says where things are; what it gets
from there, V, how they look (Plug-and-Play, Tumanyan et al., arXiv 2211.12572). So queries and keys
of the self-attention layers are noted while the model sees the source at a noise level, and at that
level those of an edit's conditional rows go towards them:

    Q <- Q + strength (Q_source - Q)
    K <- K + strength (K_source - K)

V is the edit's own. The host's own attention goes on with what its linears put out. Shape letters
as in `ebca.core.energy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ebca.settings.checks import SettingsError

_LINEARS = ("to_q", "to_k")
_MOST = 4 * 2**30  # bytes that may be noted

Act = Callable[[str, Tensor], Tensor | None]
"""What is done with the output [b, n, h*d] of a linear of that name; None leaves it."""


@dataclass
class Noted:
    """What the self-attention layers made of the source, by timestep and linear: the parts of
    a batch that were evaluated one after the other. In main memory."""

    parts: dict[float, dict[str, list[Tensor]]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """In bytes."""
        known = (parts for linears in self.parts.values() for parts in linears.values())
        return sum(each.numel() * each.element_size() for parts in known for each in parts)

    @contextmanager
    def evaluation(self, unet: nn.Module) -> Iterator[None]:
        """The source is evaluated once while the block runs, in one call of `unet` or several. What
        was noted of that timestep is forgotten. Raises SettingsError where it becomes too much."""
        begun: dict[float, dict[str, list[Tensor]]] = {}
        linears: dict[str, list[Tensor]] = {}

        def begin(_unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            nonlocal linears
            linears = begun.setdefault(timestep_of(args, kwargs), {})

        def note(name: str, output: Tensor) -> None:
            linears.setdefault(name, []).append(output.detach().cpu())

        with ExitStack() as scope:
            scope.callback(unet.register_forward_pre_hook(begin, with_kwargs=True).remove)
            add_hooks(unet, note, scope)
            yield
        self.parts.update(begun)
        if self.size > _MOST:
            legal = f"0 here: the attention of so large a picture takes more than {_MOST >> 30} GB."
            legal += " Fewer steps, a smaller picture or a lower keep_layout_stop need less"
            raise SettingsError("keep_layout", "above 0", legal)


@dataclass(frozen=True)
class Layout:
    """What the rows of an edit go towards: those of the picture at place i of a batch towards the
    source's row i, and from the first on again where there are more pictures."""

    noted: Noted
    strength: float = 1.0

    def acting(self, timestep: float, pictures: Sequence[int | None]) -> Act:
        """What is done in an evaluation; `pictures` has the place of each row's picture, None for
        a row that is left."""
        known = self.noted.parts.get(timestep, {})
        held = [row for row, picture in enumerate(pictures) if picture is not None]
        places = [picture for picture in pictures if picture is not None]

        def act(name: str, output: Tensor) -> Tensor | None:
            if name not in known or not held or len(output) != len(pictures):
                return None
            source = torch.cat(known[name])
            if source.shape[1:] != output.shape[1:]:
                return None  # somebody has cut the picture into pieces
            wanted = source[[place % len(source) for place in places]].to(output)
            moved = output.clone()
            moved[held] = moved[held].lerp(wanted, self.strength)
            return moved

        return act


def add_hooks(unet: nn.Module, act: Act, scope: ExitStack) -> None:
    """Ask `act` about what to_q and to_k of each self-attention layer put out, until `scope` is
    closed."""

    def called(name: str, _linear: nn.Module, _args: Any, output: Tensor) -> Tensor | None:
        return act(name, output)

    for name, module in unet.named_modules():
        parts = name.split(".")
        if "attn1" in parts[-2:-1] and parts[-1] in _LINEARS:
            scope.callback(module.register_forward_hook(partial(called, name)).remove)


def timestep_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Of a call of a UNet, for all its rows."""
    given = args[1] if len(args) > 1 else kwargs.get("timestep", kwargs.get("timesteps"))
    return float(torch.as_tensor(given).flatten()[0])
