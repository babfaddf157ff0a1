"""The prompts of a job, read by the WebUI's own parser, and what CACAO makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modules import prompt_parser, shared  # type: ignore[import-not-found]

from ebca.prompts import check_things, contrasts, read_things
from ebca.settings import SettingsError, check_alphas
from ebca.webui.neighbours import owner_of_prompt, read_and
from ebca.webui.options import Options


@dataclass(frozen=True)
class Part:
    """One of the AND-separated prompts of an image.

    `schedule` is [(last step, text), ...] as the WebUI's prompt editing has it.
    """

    text: str
    weight: float
    schedule: tuple[tuple[int, str], ...]

    def at(self, step: int) -> str:
        """The text at a step of the denoiser, chosen as the WebUI chooses its encoding."""
        return next((text for last, text in self.schedule if step <= last), self.schedule[0][1])


@dataclass(frozen=True)
class ImagePrompt:
    """The prompt of one image: the main part, then the editorial ones."""

    parts: tuple[Part, ...]
    whole: str
    """As it is given to the WebUI."""
    composed: bool
    """Whether CACAO composes it; else the WebUI or another extension does."""
    owner: str | None = None
    """The other extension, if one does."""
    contrast: float = 0.0
    """How far it is moved away from its things alone, where it has several."""
    named: tuple[str, ...] = ()
    """What its things are, if that is not to be found out."""

    @property
    def main(self) -> str:
        """What is left of it where CACAO has taken the editorial parts out."""
        return f"{self.parts[0].text} :1" if self.composed else self.whole

    def contrasts(self, step: int) -> dict[str, float]:
        """The things that are not to be alone in the picture at `step`, with their weights."""
        return contrasts(self.parts[0].at(step), self.contrast, self.named)

    def all_contrasts(self) -> list[str]:
        """Those of all steps."""
        return [thing for last, _ in self.parts[0].schedule for thing in self.contrasts(last)]

    def active(self, step: int) -> list[tuple[int, float]]:
        """(index, alpha) of the editorial parts that take part at `step`: a prompt that is empty
        then does not."""
        main, *editorial = self.parts
        return [
            (index, part.weight / main.weight)
            for index, part in enumerate(editorial, start=1)
            if part.at(step).strip()
        ]

    def check(self, options: Options) -> None:
        """Raise SettingsError unless it can be composed, at every step of its schedule."""
        if not self.composed:
            return
        main = self.parts[0]
        if main.weight <= 0.0:
            raise SettingsError(
                "prompt", f"{main.text.strip()} :{main.weight:g}",
                "a main prompt (the first of those joined by AND) with a weight above 0",
            )  # fmt: skip
        for step in sorted({0, *(last + 1 for part in self.parts for last, _ in part.schedule)}):
            active = self.active(step)
            edits = [options.edit(prompt=self.parts[i].text, alpha=a) for i, a in active]
            check_alphas(edits, options.composition)

    def words(self) -> list[str]:
        """All texts that are ever encoded for it."""
        return [text for part in self.parts for _, text in part.schedule]


def read_prompts(
    prompts: Sequence[str], options: Options, steps: int, hires_steps: int | None = None
) -> list[ImagePrompt]:
    """`prompts`, one per image and free of extra networks, as the WebUI reads them.

    steps: what the WebUI schedules the prompts over (twice the steps for second-order samplers);
    hires_steps: the same for the pass of hires fix, when it is this pass's prompts that are read.
    """
    indices, flat, _ = read_and(prompts)
    schedules = prompt_parser.get_learned_conditioning_prompt_schedules(
        flat, steps, hires_steps, shared.opts.use_old_scheduling
    )
    read = []
    for prompt, parts in zip(prompts, indices, strict=True):
        owner = owner_of_prompt(prompt) if len(parts) > 1 else None
        composed = options.compose == "cacao" and len(parts) > 1 and owner is None
        each = [
            Part(flat[index], float(weight), tuple((end, text) for end, text in schedules[index]))
            for index, weight in parts
        ]
        mine = options.contrast_stop > 0 and (composed or len(parts) == 1)
        contrast = options.contrast if mine else 0.0
        named = read_things(options.things)
        read.append(ImagePrompt(tuple(each), prompt, composed, owner, contrast, named))
    return read


def check_named(images: Sequence[ImagePrompt], options: Options) -> None:
    """Raise SettingsError for a thing of the options that no prompt ever has."""
    contrasted = [image.parts[0].schedule for image in images if image.contrast]
    texts = [text for schedule in contrasted for _, text in schedule]
    check_things(texts, read_things(options.things))


def describe(prompt: str, options: Options, steps: int = 20) -> str:
    """One line on how `prompt` will be composed. Raises SettingsError if it cannot be."""
    (image,) = read_prompts([prompt], options, steps)
    image.check(options)
    if len(image.parts) == 1:
        return f"One prompt: {_shown(image.parts[0])}. Nothing to compose.{_contrast(image)}"
    if not image.composed:
        owner = image.owner or "the WebUI"
        return f"{len(image.parts)} prompts, composed by {owner}, one UNet row for each."
    main, *editorial = image.parts
    shown, total = [], 1.0
    for part in editorial:
        alpha = part.weight / main.weight
        if any(text.strip() for _, text in part.schedule):
            shown.append(f"{alpha:+g} times {_shown(part)}")
            total += alpha
        else:
            shown.append("an empty prompt, left out")
    summed = options.composition == "sum"
    how = "added beyond the empty prompt" if summed else f"divided by {total:g}"
    return f"CACAO: main {_shown(main)}; {'; '.join(shown)}; {how}.{_contrast(image)}"


def _contrast(image: ImagePrompt) -> str:
    if not image.contrast or not image.parts[0].text.strip():
        return ""
    alone = dict.fromkeys(image.all_contrasts())
    if not alone:
        return " Contrast: fewer than two things found; if there are more, name them in Things."
    shown = ", ".join(f"“{thing}”" for thing in alone)
    return f" Contrast: none of these alone: {shown}."


def _shown(part: Part) -> str:
    text = " ".join(part.text.split())
    return f"“{text if len(text) <= 60 else text[:57] + '...'}”"
