"""One sampling of a job, of the first pass or of hires fix, with EBCA on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from modules import (  # type: ignore[import-not-found]
    prompt_parser,
    script_callbacks,
    shared,
)
from torch import Tensor

from ebca.core.engine import UNMASKED_LAYER
from ebca.core.maps import Maps
from ebca.core.method import Method
from ebca.core.trace import Trace
from ebca.hosts.replacing import replaced
from ebca.hosts.webui import UNMASKED_PIECE, WebUISampling
from ebca.options import Settings
from ebca.webui import infotext, neighbours
from ebca.webui.encoded import EncodedPrompts, asked_texts
from ebca.webui.family import family, text_encoder, unet
from ebca.webui.prompts import ImagePrompt, read_prompts
from ebca.webui.words import find_words, token_weights


class Pass:
    """EBCA on one sampling of the job `p`."""

    def __init__(self, p: Any, settings: Settings, methods: Sequence[Method]) -> None:
        """`methods` are the settings' methods that have something to do."""
        self._p, self._settings, self._methods = p, settings, methods
        self._words = settings.words.word_weights
        self._early: Mapping[str, Any] = {}
        self.evaluations = 0
        """The number of evaluations of the model in which EBCA took part."""
        self.left_alone = False
        """Whether there were evaluations in which EBCA took no part."""
        self.acted: set[Method] = set()
        """The methods that acted."""
        self.said: set[str] = set()
        """Sentences on what could not be done."""

    def encode_early(self, cond: Any) -> None:
        """Encode the texts that methods ask for in addition to the prompts `cond`, so that `run`
        need not do it."""
        texts = asked_texts(self._methods, self._read(cond))
        self._early = dict(zip(texts, _encode(texts), strict=True)) if texts else {}

    @contextmanager
    def run(self, sampler: Any, maps: Maps | None = None) -> Iterator[None]:
        """Switch EBCA on while the block runs, in which `sampler` does its work; `maps` collects
        the attention."""
        p, methods, scope, host = self._p, self._methods, ExitStack(), family()

        def encode(texts: Sequence[str]) -> list[Any]:
            early, self._early = self._early, {}  # a refiner encodes once more
            if not all(text in early for text in texts):
                early = dict(zip(texts, _encode(texts), strict=True))
                host.encoded(sampler)
            return [early[text] for text in texts]

        prompts = EncodedPrompts(methods, self._mask(), self._read, self._weigh, encode, _find)
        given, get_conds = sampler.sampler_extra_args, p.get_conds

        def mains(cond: Any) -> Any:
            neighbours.tell_reader([image.main for image in self._read(cond)])
            return prompts.mains(cond)

        def get_mains() -> tuple[Any, Any]:  # for a refiner, which encodes once more
            cond, uncond = get_conds()
            return cond if sampling.gave_back else mains(cond), uncond

        sampling = host.sampling(
            sampler,
            methods,
            prompts,
            unet,
            from_noise=not p.is_hr_pass and not getattr(p, "init_images", None),
            projections=host.projections(),
            give_back=lambda: neighbours.tell_reader(self._prompts),
            trace=None if maps is None else Trace(energies=False, maps=maps),
        )
        with scope:
            scope.callback(sampling.close)
            sampling.open()
            scope.callback(neighbours.tell_reader, self._read_last)
            given["cond"] = mains(given["cond"])
            scope.enter_context(replaced(p, "get_conds", get_mains))
            script_callbacks.on_cfg_denoiser(sampling.announce)
            scope.callback(script_callbacks.remove_callbacks_for_function, sampling.announce)
            yield
        self.evaluations = sampling.evaluations
        self.left_alone = sampling.gave_back or sampling.strange_evaluations > 0
        self.acted, self.said = sampling.acted, sampling.said
        self._tell(sampling)

    def _tell(self, sampling: WebUISampling) -> None:
        """Tell what was not done in a sampling, by comments on the job and in the infotext."""
        p, told = self._p, self._p.extra_generation_params
        for line in sorted(sampling.said):
            p.comment(line)
        if UNMASKED_PIECE in sampling.said:
            told.update(infotext.label("mask", "False"))
        elif UNMASKED_LAYER in sampling.said:
            told.update(infotext.label("mask", "partly"))
        if sampling.gave_back:
            p.comment(
                "EBCA: another extension brought prompts of its own, so EBCA stopped and AND was"
                " left to the WebUI."
            )
        elif sampling.strange_evaluations:
            p.comment(
                "EBCA: another extension ran the model by itself"
                f" {sampling.strange_evaluations} times; EBCA took no part in that."
            )

    def _mask(self) -> Tensor | None:
        """Return the WebUI's latent mask [h, w], 1 where it repaints, if a method uses it."""
        mask: Tensor | None = getattr(self._p, "nmask", None)
        asked = any(method.uses_mask for method in self._methods)
        return None if mask is None or not asked else mask.reshape(-1, *mask.shape[-2:])[0]

    def _read(self, cond: Any) -> list[ImagePrompt]:
        """Read the texts behind the encoded prompts `cond` of the pass under way."""
        p, last = self._p, cond.batch[0][0].schedules[-1].end_at_step
        steps = (p.firstpass_steps, last) if p.is_hr_pass else (last, None)
        return read_prompts(self._prompts, self._settings, *steps)

    @property
    def _prompts(self) -> Sequence[str]:
        """The prompts of the pass under way, one for each image."""
        prompts: Sequence[str] = self._p.hr_prompts if self._p.is_hr_pass else self._p.prompts
        return prompts

    @property
    def _read_last(self) -> Sequence[str]:
        """The prompts the WebUI read last: those of hires fix, if it is on, before either pass."""
        prompts: Sequence[str] | None = getattr(self._p, "hr_prompts", None)
        return prompts if prompts and getattr(self._p, "enable_hr", False) else self._p.prompts

    def _weigh(self, text: str) -> dict[int, float]:
        return token_weights(text_encoder(), text, self._words) if self._words else {}


def _encode(texts: Sequence[str]) -> list[Any]:
    """Encode texts without schedules with the model in use, as the WebUI encodes prompts."""
    prompts = prompt_parser.SdConditioning(texts, width=1024, height=1024)  # no part of contexts
    encoded = prompt_parser.get_learned_conditioning(shared.sd_model, prompts, 1)
    return [only.cond for (only,) in encoded]


def _find(text: str, words: str) -> list[int]:
    """Return the token indices of words in the context of a text."""
    return find_words(text_encoder(), text, words)
