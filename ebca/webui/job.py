"""EBCA on one job of the WebUI.

A script's callbacks are no place for either of the two things that matter: exceptions in them are
swallowed, and after an exception in the sampling none of them is called. So the script only puts
a `Job` around the job's own `p.sample`, in which everything happens: what cannot be done raises
before anything is sampled, and what was installed is taken away however the sampling ends.
"""

from __future__ import annotations

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

from ebca.hosts.webui import WebUISampling
from ebca.layers import NoCrossAttentionError, find_layers, select_layers
from ebca.prompts import read_word_weights
from ebca.settings import SettingsError
from ebca.webui import infotext
from ebca.webui.composing import ImagePrompt, check_named, read_prompts
from ebca.webui.encoded import EncodedPrompts
from ebca.webui.encoder import text_encoder
from ebca.webui.options import Options, read_arguments
from ebca.webui.projections import WebUIProjections
from ebca.webui.words import check_words, token_weights

AXES = "ebca_axes"
"""The attribute of a job in which the axes of an X/Y/Z plot put their values."""


class JobRefusedError(RuntimeError):
    """A job that cannot be done as asked; the WebUI shows the message, its API answers 422."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.status_code = 422
        self.detail = message


def take_part(p: Any, arguments: Sequence[Any]) -> None:
    """Called by the script when a job begins; `arguments` are the accordion's values."""
    leave(p)
    infotext.clear(p.extra_generation_params)
    try:
        options = read_arguments(arguments, getattr(p, AXES, {}))
    except SettingsError as error:
        Job(p, Options(enabled=True), error).attach()
        return
    if options.enabled:
        p.extra_generation_params.update(infotext.write(options))
        Job(p, options).attach()


def leave(p: Any) -> None:
    """Take a `Job` off `p`, if one is there."""
    job = getattr(vars(p).get("sample"), "__self__", None)
    if isinstance(job, Job):
        job.detach(p)


class Job:
    """What happens in `p.sample` while EBCA is on."""

    def __init__(self, p: Any, options: Options, error: SettingsError | None = None) -> None:
        """`error` is what is wrong with the job's values, if something is."""
        self._p, self._options, self._error = p, options, error
        self._words = read_word_weights(options.token_weights)
        self._before = vars(p).get("sample")
        self._sample_as_before = p.sample
        self._composes = False

    def attach(self) -> None:
        self._p.sample = self.sample

    def detach(self, p: Any) -> None:
        """Make `p.sample` what it was; `p` may be a copy of the job's."""
        if self._before is None:
            del p.sample
        else:
            p.sample = self._before

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Stands in for `p.sample`: both passes of one batch."""
        try:
            self._check()
            launch = sd_samplers_common.Sampler.launch_sampling

            def launch_sampling(sampler: Any, steps: int, func: Any) -> Any:
                with ExitStack() as scope:
                    if getattr(sampler, "p", None) is self._p and self._in_this_pass():
                        scope.enter_context(self._sampling(sampler))
                    return launch(sampler, steps, func)

            with _replaced(sd_samplers_common.Sampler, "launch_sampling", launch_sampling):
                return self._sample_as_before(*args, **kwargs)
        except BaseException as error:
            leave(self._p)  # no script is told of the end of such a job
            if isinstance(error, (SettingsError, NoCrossAttentionError)):
                self._p.comment(str(error))  # an X/Y/Z plot would swallow it
                raise JobRefusedError(str(error)) from None
            raise

    # Before anything is sampled

    def _check(self) -> None:
        """Raise SettingsError or NoCrossAttentionError if the job cannot be done."""
        if self._error is not None:
            raise self._error
        if sd_unet.current_unet is not None:
            name = sd_unet.current_unet_option.label
            raise SettingsError("the setting SD Unet", name, "None: this one cannot be hooked")
        select_layers(find_layers(_unet()), self._options.layers)
        images = self._images()
        for image in images:
            image.check(self._options)
        check_named(images, self._options)
        contrasted = any(image.all_contrasts() for image in images)
        self._composes = contrasted or any(image.composed for image in images)
        texts = [text for image in images for text in image.words()]
        check_words(_text_encoder(), texts, dict(self._words))
        if self._options.hires == "only" and not getattr(self._p, "enable_hr", False):
            self._p.comment("EBCA: hires is 'only' and hires fix is off, so nothing was changed.")

    def _images(self) -> list[ImagePrompt]:
        """The prompts of all images and of those passes in which EBCA takes part."""
        p, images = self._p, []
        if self._options.hires != "only":
            images += self._read_texts([*p.all_prompts, *p.prompts], p.firstpass_steps)
        if getattr(p, "enable_hr", False) and self._options.hires != "off":
            steps = p.hr_second_pass_steps or p.steps
            config = sd_samplers.find_sampler_config(p.hr_sampler_name or p.sampler_name)
            hires_steps = config.total_steps(steps) if config else steps
            images += self._read_texts(p.all_hr_prompts, p.firstpass_steps, hires_steps)
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

        def get_mains() -> tuple[Any, Any]:  # for a refiner, which encodes once more
            cond, uncond = get_conds()
            return prompts.mains(cond), uncond

        sampling = WebUISampling(
            sampler,
            options.settings(),
            prompts,
            _unet,
            composes=self._composes,
            projections=WebUIProjections(),
        )
        with script:
            script.callback(sampling.close)
            sampling.open()
            given["cond"] = prompts.mains(given["cond"])
            script.enter_context(_replaced(p, "get_conds", get_mains))
            script_callbacks.on_cfg_denoiser(sampling.announce)
            script.callback(script_callbacks.remove_callbacks_for_function, sampling.announce)
            yield
        if sampling.strange_evaluations:
            p.comment(
                f"EBCA: another extension evaluated the UNet {sampling.strange_evaluations} times"
                " with rows of its own, which EBCA left as they were."
            )

    def _mask(self) -> Tensor | None:
        """The WebUI's own latent mask [h, w], 1 where it repaints."""
        mask: Tensor | None = getattr(self._p, "nmask", None)
        return None if mask is None else mask.reshape(-1, *mask.shape[-2:])[0]

    def _read(self, cond: Any) -> list[ImagePrompt]:
        """The texts behind the encoded prompts of the pass under way."""
        p, last = self._p, cond.batch[0][0].schedules[-1].end_at_step
        if p.is_hr_pass:
            return read_prompts(p.hr_prompts, self._options, p.firstpass_steps, last)
        return read_prompts(p.prompts, self._options, last)

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
