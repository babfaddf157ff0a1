"""Read the prompts of a job with the WebUI's own parser, into `Prompt` objects for methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modules import prompt_parser, shared  # type: ignore[import-not-found]

from ebca.core.method import Method
from ebca.options import Settings
from ebca.prompts import Edit, Prompt
from ebca.prompts.reading import check_main_weight, weighed_edit
from ebca.prompts.words import missing_words
from ebca.webui.neighbours import owner_of_prompt, read_and

Weigh = Callable[[str], Mapping[int, float]]


@dataclass(frozen=True)
class Part:
    """One of the AND-separated prompts of an image.

    `schedule` is [(last step, text), ...] as the WebUI's prompt editing has it.
    """

    text: str
    weight: float
    schedule: tuple[tuple[int, str], ...]

    def at(self, step: int) -> str:
        """Return the text at a step of the denoiser, by the WebUI's rule for choosing encodings."""
        return next((text for last, text in self.schedule if step <= last), self.schedule[0][1])


@dataclass(frozen=True)
class ImagePrompt:
    """The prompt of one image: the main part, then those that follow AND.

    whole: the prompt as it is given to the WebUI.
    absorbed: whether a method takes the parts after AND; if not, every part is a row of its own,
        and the WebUI or another extension (`owner`) joins them.
    """

    parts: tuple[Part, ...]
    whole: str
    settings: Settings
    absorbed: bool
    owner: str | None = None

    @property
    def main(self) -> str:
        """The prompt that is left for the WebUI: the main part alone if the others are absorbed."""
        return f"{self.parts[0].text} :1" if self.absorbed else self.whole

    def prompts(self, step: int, weigh: Weigh = lambda text: {}) -> list[Prompt]:
        """Return the prompts at a step of the denoiser, one for each row that the WebUI makes.
        `weigh` returns factors on the tokens of a text."""
        main, *others = self.parts
        if not self.absorbed:
            if others:
                parts = (Prompt(part.at(step), single=False) for part in self.parts)
                return [self._with_subjects(part) for part in parts]
            return [self._with_subjects(Prompt(main.at(step)))]
        edits = (
            weighed_edit(text, part.weight, main.weight, token_weights=weigh(text))
            for part in others
            if (text := part.at(step)).strip()
        )
        return [self._with_subjects(Prompt(main.at(step), tuple(edits)))]

    def all_prompts(self) -> Iterator[Prompt]:
        """Yield the prompts of all steps. Raises SettingsError if the main weight is unusable."""
        if self.absorbed:
            check_main_weight(self.parts[0].text, self.parts[0].weight)
        ends = {last + 1 for part in self.parts for last, _ in part.schedule}
        for step in sorted({0, *ends}):
            yield from self.prompts(step)

    def check(self, methods: Sequence[Method]) -> None:
        """Raise SettingsError unless the methods can do what the prompt asks at every step."""
        for prompt in self.all_prompts():
            for method in methods:
                method.check(prompt)

    def words(self) -> list[str]:
        """Return all texts that are encoded for the prompt at any step."""
        return [text for part in self.parts for _, text in part.schedule]

    def phases(self) -> Iterator[tuple[int, int, list[Prompt]]]:
        """Yield (first step, last step, the `prompts` between them), with steps counted from 1."""
        first = 1
        for last in sorted({last for part in self.parts for last, _ in part.schedule}):
            yield first, last, self.prompts(last)
            first = last + 1

    def _with_subjects(self, prompt: Prompt) -> Prompt:
        blank = dataclasses.replace(prompt, blank=not prompt.main.strip())
        return blank.with_subjects(self.settings.words.subjects_of(prompt.main))


def read_prompts(
    prompts: Sequence[str], settings: Settings, steps: int, hires_steps: int | None = None
) -> list[ImagePrompt]:
    """Read `prompts`, one per image and free of extra networks, as the WebUI reads them.

    steps: how many the WebUI schedules prompts over (twice the steps for second-order samplers);
    hires_steps: the same for the pass of hires fix, if the prompts of that pass are read.
    """
    indices, flat, _ = read_and(prompts)
    schedules = prompt_parser.get_learned_conditioning_prompt_schedules(
        flat, steps, hires_steps, shared.opts.use_old_scheduling
    )
    read = []
    for prompt, parts in zip(prompts, indices, strict=True):
        each = tuple(
            Part(flat[index], float(weight), tuple((end, text) for end, text in schedules[index]))
            for index, weight in parts
        )
        owner = owner_of_prompt(prompt) if len(parts) > 1 else None
        asked = Prompt(each[0].text, tuple(Edit(part.text) for part in each[1:]))
        taken = owner is None and any(method.absorbs(asked) for method in settings.methods)
        read.append(ImagePrompt(each, prompt, settings, taken, owner))
    return read


def missing_subjects(images: Sequence[ImagePrompt]) -> list[str]:
    """Return the subjects that the user named and that no prompt has at any step."""
    texts = [text for image in images for _, text in image.parts[0].schedule]
    return missing_words(texts, images[0].settings.words.named) if images else []
