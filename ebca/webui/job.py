"""EBCA on one job of the WebUI.

A script's callbacks are no place for either of the two things that matter: exceptions in them are
swallowed, and after an exception in the sampling none of them is called. So the script only puts
a `Job` around three of the job's own methods:

    p.setup_prompts   before any script is told to begin: values and model are checked
    p.init            when all scripts have changed the prompts: these are checked
    p.sample          everything happens, and is taken away however the sampling ends
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from modules import (  # type: ignore[import-not-found]
    extra_networks,
    prompt_parser,
    script_callbacks,
    sd_samplers,
    sd_samplers_common,
    sd_unet,
    shared,
)
from torch import Tensor, nn

from ebca.engine import UNMASKED_LAYER
from ebca.hosts.webui import UNMASKED_PIECE, WebUISampling
from ebca.layers import find_layers, select_layers
from ebca.prompts import read_word_weights
from ebca.settings import SettingsError
from ebca.webui import infotext, neighbours
from ebca.webui.composing import ImagePrompt, check_named, read_prompts
from ebca.webui.encoded import EncodedPrompts
from ebca.webui.options import Options, read_arguments
from ebca.webui.projections import WebUIProjections
from ebca.webui.refusal import forget_encoded, refusing
from ebca.webui.words import check_words, text_encoder, token_weights

AXES = "ebca_axes"
"""The attribute of a job in which the axes of an X/Y/Z plot put their values."""


_CURRENT = "ebca_job"
"""The attribute of a job in which the `Job` is that is on it."""

_METHODS = ("setup_prompts", "init", "sample")


def prepare(p: Any, arguments: Sequence[Any]) -> None:
    """Called by the script before anything else of a job happens."""
    leave(p)
    if job := _job(p, arguments):
        job.attach()


def take_part(p: Any, arguments: Sequence[Any]) -> None:
    """Called by the script when a job begins; `arguments` are the accordion's values."""
    leave(p)
    infotext.clear(p.extra_generation_params)
    if job := _job(p, arguments):
        job.attach()
        job.claim()


def leave(p: Any) -> None:
    """Take a `Job` off `p`, if one is there."""
    job = vars(p).get(_CURRENT)
    if isinstance(job, Job):
        job.detach(p)


def _job(p: Any, arguments: Sequence[Any]) -> Job | None:
    try:
        options = read_arguments(arguments, getattr(p, AXES, {}))
    except SettingsError as error:
        return Job(p, Options(enabled=True), error)
    return Job(p, options) if options.enabled else None


class Job:
    """What happens in the methods of a job `p` while EBCA is on."""

    def __init__(self, p: Any, options: Options, error: SettingsError | None = None) -> None:
        """`error` is what is wrong with the job's values, if something is."""
        self._p, self._options, self._error = p, options, error
        self._words = read_word_weights(options.token_weights)
        self._before = {name: vars(p).get(name) for name in _METHODS}
        self._as_before = {name: getattr(p, name) for name in _METHODS}
        self._composes = self._sampling_now = False
        self._evaluations = 0

    def attach(self) -> None:
        setattr(self._p, _CURRENT, self)
        for name in _METHODS:
            setattr(self._p, name, getattr(self, name))

    def detach(self, p: Any) -> None:
        """Make the methods of `p` what they were; `p` may be a copy of the job's."""
        delattr(p, _CURRENT)
        for name, before in self._before.items():
            if getattr(vars(p).get(name), "__self__", None) is not self:
                continue  # somebody else stands in front of it
            if before is None:
                delattr(p, name)
            else:
                setattr(p, name, before)

    def claim(self) -> None:
        """Say in the infotext what makes the picture."""
        if self._error is None:
            self._p.extra_generation_params.update(infotext.write(self._options))

    # What stands in for the job's methods

    def setup_prompts(self, *args: Any, **kwargs: Any) -> Any:
        """The first of the job's own methods that is called."""
        made = self._as_before["setup_prompts"](*args, **kwargs)
        with self._ending(), refusing(self._p, begun=False):
            self._check_model(sd_unet.get_unet_option())  # which is yet to be activated
        return made

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Called when the scripts have been told of the job, and of no batch yet."""
        with self._ending(), refusing(self._p, begun=True):
            self._check_prompts()
        return self._as_before["init"](*args, **kwargs)

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Both passes of one batch. Other extensions keep what they have found in `p.sample`, so
        that this may be called when another `Job` is on `p`, or none, or twice."""
        job = vars(self._p).get(_CURRENT)
        if not isinstance(job, Job) or job._sampling_now:
            return self._as_before["sample"](*args, **kwargs)
        with job._ending(), job._around_sampling(), refusing(self._p, begun=True):
            job._check_model(sd_unet.current_unet and sd_unet.current_unet_option)
            job._check_prompts()
            return self._as_before["sample"](*args, **kwargs)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """After an exception no script is told of the end of the job."""
        try:
            yield
        except BaseException:
            leave(self._p)
            forget_encoded(self._p)
            raise

    @contextmanager
    def _around_sampling(self) -> Iterator[None]:
        launch = sd_samplers_common.Sampler.launch_sampling

        def launch_sampling(sampler: Any, steps: int, func: Any) -> Any:
            with ExitStack() as scope:
                if getattr(sampler, "p", None) is self._p and self._in_this_pass():
                    scope.enter_context(self._sampling(sampler))
                return launch(sampler, steps, func)

        self._sampling_now = True
        try:
            with _replaced(sd_samplers_common.Sampler, "launch_sampling", launch_sampling):
                yield
        finally:
            self._sampling_now = False

    # Before anything is sampled

    def _check_model(self, other_unet: Any) -> None:
        """Raise SettingsError or NoCrossAttentionError if values or model cannot be used;
        `other_unet` is what the WebUI's settings have in the UNet's place."""
        if self._error is not None:
            raise self._error
        if other_unet is not None:
            legal = "None: this one cannot be hooked"
            raise SettingsError("the setting SD Unet", other_unet.label, legal)
        select_layers(find_layers(_unet()), self._options.layers)

    def _check_prompts(self) -> None:
        """Raise SettingsError if the prompts cannot be used."""
        images = self._leave_to_owners(self._images())
        for image in images:
            image.check(self._options)
        check_named(images, self._options)
        contrasted = any(image.all_contrasts() for image in images)
        self._composes = contrasted or any(image.composed for image in images)
        texts = [text for image in images for text in image.words()]
        check_words(_text_encoder(), texts, dict(self._words))
        if self._options.hires == "only" and not getattr(self._p, "enable_hr", False):
            self._p.comment("EBCA: hires is 'only' and hires fix is off, so nothing was changed.")

    def _leave_to_owners(self, images: Sequence[ImagePrompt]) -> Sequence[ImagePrompt]:
        """Leave the ANDs that are other extensions' to them, and say so."""
        if self._options.compose != "cacao":
            return images
        several = [image for image in images if len(image.parts) > 1]
        owners = {image.owner for image in several if image.owner}
        if several and (owner := neighbours.owner_of_and(self._p)):
            owners = {owner}
            self._options = dataclasses.replace(self._options, compose="webui")
            images = self._images()
        for owner in sorted(owners):
            self._p.comment(f"EBCA: AND was left to {owner}.")
        if owners and not any(image.composed for image in images):
            self._options = dataclasses.replace(self._options, compose="webui")
            self.claim()
        return images

    def _images(self) -> list[ImagePrompt]:
        """The prompts of all images and of those passes in which EBCA takes part."""
        p, images = self._p, []
        config = sd_samplers.find_sampler_config(p.sampler_name)
        first_steps = config.total_steps(p.steps) if config else p.steps
        if self._options.hires != "only":
            images += self._read_texts([*p.all_prompts, *(p.prompts or ())], first_steps)
        if getattr(p, "enable_hr", False) and self._options.hires != "off":
            steps = p.hr_second_pass_steps or p.steps
            config = sd_samplers.find_sampler_config(p.hr_sampler_name or p.sampler_name)
            hires_steps = config.total_steps(steps) if config else steps
            images += self._read_texts(p.all_hr_prompts, first_steps, hires_steps)
        return images

    def _read_texts(
        self, prompts: Sequence[str], steps: int, hires_steps: int | None = None
    ) -> list[ImagePrompt]:
        plain, _ = extra_networks.parse_prompts(list(dict.fromkeys(prompts)))
        return read_prompts(plain, self._options, steps, hires_steps)

    # While it is sampled

    def _in_this_pass(self) -> bool:
        hires = bool(self._p.is_hr_pass)
        return self._options.hires == "same" or (self._options.hires == "only") == hires

    @contextmanager
    def _sampling(self, sampler: Any) -> Iterator[None]:
        p, options, script = self._p, self._options, ExitStack()
        prompts = EncodedPrompts(options, self._mask(), self._read, self._weigh, _encode)
        given, get_conds = sampler.sampler_extra_args, p.get_conds

        def mains(cond: Any) -> Any:
            neighbours.tell_reader([image.main for image in self._read(cond)])
            return prompts.mains(cond)

        def get_mains() -> tuple[Any, Any]:  # for a refiner, which encodes once more
            cond, uncond = get_conds()
            return cond if sampling.gave_back else mains(cond), uncond

        sampling = WebUISampling(
            sampler,
            options.settings(),
            prompts,
            _unet,
            composes=self._composes,
            projections=WebUIProjections(),
            give_back=lambda: neighbours.tell_reader(self._prompts),
        )
        with script:
            script.callback(sampling.close)
            sampling.open()
            script.callback(neighbours.tell_reader, self._prompts)
            given["cond"] = mains(given["cond"])
            script.enter_context(_replaced(p, "get_conds", get_mains))
            script_callbacks.on_cfg_denoiser(sampling.announce)
            script.callback(script_callbacks.remove_callbacks_for_function, sampling.announce)
            yield
        self._tell(sampling)

    def _tell(self, sampling: WebUISampling) -> None:
        """What was not done in a sampling: in lines under the picture, and in its infotext."""
        p, told = self._p, self._p.extra_generation_params
        self._evaluations += sampling.evaluations
        for line in sorted(sampling.said):
            p.comment(line)
        if UNMASKED_PIECE in sampling.said:
            told.update(infotext.label("mask", "False"))
        elif UNMASKED_LAYER in sampling.said:
            told.update(infotext.label("mask", "partly"))
        if sampling.gave_back:
            p.comment(
                "EBCA: another extension evaluates the UNet with prompts of its own, so that AND"
                " was left to the WebUI and EBCA did nothing more."
            )
        elif sampling.strange_evaluations:
            p.comment(
                f"EBCA: another extension evaluated the UNet {sampling.strange_evaluations} times"
                " with rows of its own, which EBCA left as they were."
            )
        if (sampling.gave_back or sampling.strange_evaluations) and not self._evaluations:
            infotext.clear(told)

    def _mask(self) -> Tensor | None:
        """The WebUI's own latent mask [h, w], 1 where it repaints."""
        mask: Tensor | None = getattr(self._p, "nmask", None)
        return None if mask is None else mask.reshape(-1, *mask.shape[-2:])[0]

    def _read(self, cond: Any) -> list[ImagePrompt]:
        """The texts behind the encoded prompts of the pass under way."""
        p, last = self._p, cond.batch[0][0].schedules[-1].end_at_step
        steps = (p.firstpass_steps, last) if p.is_hr_pass else (last, None)
        return read_prompts(self._prompts, self._options, *steps)

    @property
    def _prompts(self) -> Sequence[str]:
        """Those of the pass under way, one for each image."""
        prompts: Sequence[str] = self._p.hr_prompts if self._p.is_hr_pass else self._p.prompts
        return prompts

    def _weigh(self, text: str) -> dict[int, float]:
        return token_weights(_text_encoder(), text, self._words) if self._words else {}


def _unet() -> nn.Module:
    unet: nn.Module = shared.sd_model.model.diffusion_model
    return unet


def _encode(texts: Sequence[str]) -> list[Any]:
    """Texts without schedules, encoded by the model in use as the WebUI encodes prompts."""
    prompts = prompt_parser.SdConditioning(texts, width=1024, height=1024)  # not in contexts
    encoded = prompt_parser.get_learned_conditioning(shared.sd_model, prompts, 1)
    return [only.cond for (only,) in encoded]


def _text_encoder() -> Any:
    return text_encoder(shared.sd_model)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` for a while; then what `owner` itself had, or had not, is back."""
    missing = object()
    before = vars(owner).get(name, missing)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
