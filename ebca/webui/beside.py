"""Extra pictures beside a job's own: strips of the attention, and the same job without EBCA.

EBCA's script is told of a job's end before other scripts are, so it could make nothing more there.
Therefore a function stands in for `process_images_inner`, for one job and until it is called.

The job's pictures stay where they are. The extra ones follow after all of them, picture by picture:
without EBCA, `off | on`, strips. In an X/Y/Z plot, which takes one picture from each cell, the
pairs and strips are put together into one picture.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from modules import errors, images, processing, shared  # type: ignore[import-not-found]
from PIL import Image

from ebca.options.infotext import PREFIX
from ebca.options.page import PageSettings
from ebca.seeing.drawing import column, pair
from ebca.webui.checking import goes_without
from ebca.webui.maps import JobMaps, draw
from ebca.webui.without import Without, is_without

KEY = "ebca_images"
"""The field of an API response that says what each of its pictures is."""

ON, OFF, PAIR, ATTENTION = "on", "off", "off | on", "attention"

_PLOT = "xyz_grid.py"
_HARMLESS = (_PLOT, "prompts_from_file.py")
"""Scripts of the WebUI that cope with more pictures from a job than they asked for."""


class Shown(NamedTuple):
    """An extra picture beside those of the job."""

    kind: str
    picture: Image.Image
    infotext: str
    number: int  # which of the job's pictures it belongs to
    ebca: bool = True  # whether it is of the job with EBCA


def prepare(p: Any, page: PageSettings) -> None:
    """Before a job begins, put the stand-in in place if `page` asks for extra pictures."""
    forget()
    if is_without(p) or not (page.show_attention or page.also_off):
        return
    script = _script(p)
    if script is not None and script.__module__ not in _HARMLESS:
        p.comment(
            f"EBCA: the script “{script.title()}” puts its pictures together by itself, so nothing"
            " was put beside them."
        )
        return
    inner, beside = processing.process_images_inner, Beside(p, page, _is_plot(script))

    def stand_in(job: Any, *args: Any, **kwargs: Any) -> Any:
        forget()
        if job is not p:
            return inner(job, *args, **kwargs)
        return beside.run(lambda: inner(job, *args, **kwargs))

    stand_in.ebca_stands_for = inner  # type: ignore[attr-defined]
    processing.process_images_inner = stand_in


def forget() -> None:
    """Remove the stand-in, if one is in place."""
    inner = getattr(processing.process_images_inner, "ebca_stands_for", None)
    if inner is not None:
        processing.process_images_inner = inner


def _script(p: Any) -> Any:
    """Return the script from the WebUI's menu that runs the job, if any."""
    arguments, scripts = getattr(p, "script_args", None), getattr(p, "scripts", None)
    index = arguments[0] if arguments else 0
    if scripts is None or not isinstance(index, int) or index < 1:
        return None
    return scripts.selectable_scripts[index - 1]


def _is_plot(script: Any) -> bool:
    return script is not None and str(script.__module__) == _PLOT


class Beside:
    """The extra pictures of the job `p`."""

    def __init__(self, p: Any, page: PageSettings, in_a_plot: bool) -> None:
        self._p, self._page, self._in_a_plot = p, page, in_a_plot
        self._without = Without(p) if page.also_off else None
        self._said: list[str] = []

    def run(self, make: Callable[[], Any]) -> Any:
        """Make the job's pictures with `make`, then the extra ones."""
        seen = self._attached(self._p)
        self._count_jobs()
        try:
            processed = make()
        finally:
            if seen is not None:
                seen.detach(self._p)
        if goes_without(self._p):  # nothing to see or to compare; `goes_without` tells the user
            return processed
        on = pictures_of(self._p, processed)
        off, off_seen = self._make_without(bool(on))
        shown = list(self._shown(processed, on, seen, off, off_seen))
        if seen is not None:
            self._tell(seen, [each for each in shown if each.kind == ATTENTION], on)
        if self._in_a_plot:
            self._as_one(processed, on, shown)
        elif shown:
            self._add(processed, on, shown)
        processed.comments += "".join(f"{line}\n" for line in self._said)
        return processed

    def _attached(self, p: Any) -> JobMaps | None:
        if not self._page.show_attention:
            return None
        maps = JobMaps(self._page)
        maps.attach(p)
        return maps

    def _count_jobs(self) -> None:
        """Count the pictures without EBCA in the WebUI's progress bar."""
        state = shared.state
        if self._without is not None:
            state.job_count = 2 * self._p.n_iter if state.job_count == -1 else (
                state.job_count + self._p.n_iter
            )  # fmt: skip

    # The same without EBCA

    def _make_without(self, wanted: bool) -> tuple[list[tuple[Image.Image, str]], JobMaps | None]:
        """Make the pictures without EBCA; return them with their infotexts, and their maps."""
        state = shared.state
        if self._without is None or not wanted:
            return [], None
        if state.interrupted or getattr(state, "stopping_generation", False):  # since 1.9
            self._said.append("EBCA: interrupted, so there are no pictures without EBCA.")
            return [], None
        job = self._without.job
        seen = self._attached(job)
        try:
            processed = self._without.make()
        except Exception as error:  # must not cost the user the pictures with EBCA
            errors.report("EBCA: making the picture without EBCA failed", exc_info=True)
            self._said.append(f"EBCA: making the picture without EBCA failed: {error}")
            return [], None
        made = [(processed.images[place], text) for place, text in pictures_of(job, processed)]
        if state.interrupted:
            made = made[: -job.batch_size]
            self._said.append("EBCA: interrupted; what was begun without EBCA is left out.")
        return made, seen

    # What is shown

    def _shown(
        self,
        processed: Any,
        on: Sequence[tuple[int, str]],
        seen: JobMaps | None,
        off: Sequence[tuple[Image.Image, str]],
        off_seen: JobMaps | None,
    ) -> Iterator[Shown]:
        """Yield the extra pictures in order."""
        p = self._p
        for number, (place, text) in enumerate(on):
            picture = processed.images[place]
            has_off = number < len(off)
            if has_off:
                without, off_text = off[number]
                both = pair(without, picture, images.get_font)
                yield Shown(OFF, without, off_text, number, ebca=False)
                yield Shown(PAIR, both, labelled(text, PAIR), number)
                self._save_grid(both, labelled(text, PAIR), number)
            if seen is not None and (one := seen.seen(number, p.batch_size)):
                drawn = draw(p, picture, one, ON if has_off else "")
                yield Shown(ATTENTION, drawn, labelled(text, ATTENTION), number)
                self._save(drawn, labelled(text, ATTENTION), number)
            if has_off and off_seen is not None and (one := off_seen.seen(number, p.batch_size)):
                drawn = draw(p, without, one, OFF)
                yield Shown(ATTENTION, drawn, labelled(off_text, ATTENTION), number, ebca=False)
                self._save(drawn, labelled(off_text, ATTENTION), number, "-off")

    def _save(self, picture: Image.Image, text: str, number: int, suffix: str = "") -> None:
        """Save a strip in the folder of its picture, if that is set."""
        p = self._p
        if self._page.save_attention and p.save_samples():
            images.save_image(
                picture, p.outpath_samples, "", p.all_seeds[number], p.all_prompts[number],
                shared.opts.samples_format, info=text, p=p, suffix=f"-attention{suffix}",
            )  # fmt: skip

    def _save_grid(self, picture: Image.Image, text: str, number: int) -> None:
        """Save a pair in the WebUI's folder for grids, if the WebUI saves grids."""
        p, opts = self._p, shared.opts
        if opts.grid_save and not p.do_not_save_grid and not self._in_a_plot:
            images.save_image(
                picture, p.outpath_grids, "pair", p.all_seeds[number], p.all_prompts[number],
                opts.grid_format, info=text, short_filename=not opts.grid_extended_filename, p=p,
                grid=True,
            )  # fmt: skip

    def _tell(self, seen: JobMaps, strips: Sequence[Shown], on: Sequence[tuple[int, str]]) -> None:
        """Tell the user what could not be shown."""
        missing = seen.missing(self._p.all_prompts) if on else []
        for words in missing:
            self._said.append(f"EBCA: the prompt does not have “{words}”, so it has no map.")
        if on and not strips:
            self._said.append(
                "EBCA: there is no map of the attention: the prompt has no words, EBCA took no"
                " part, or another extension makes the picture in pieces."
            )

    # Where the extra pictures go

    def _add(self, processed: Any, on: Sequence[tuple[int, str]], shown: Sequence[Shown]) -> None:
        """Append the extra pictures to the job's, and give every picture an infotext."""
        texts = aligned(processed, on)
        what: list[dict[str, Any] | None] = [None] * len(processed.images)
        for number, (place, _) in enumerate(on):
            what[place] = {"shows": ON, "picture": number, "ebca": True}
        for each in shown:
            if shared.opts.enable_pnginfo:
                each.picture.info["parameters"] = each.infotext
            processed.images.append(each.picture)
            texts.append(each.infotext)
            what.append({"shows": each.kind, "picture": each.number, "ebca": each.ebca})
        processed.infotexts = texts
        js = processed.js
        processed.js = lambda: json.dumps({**json.loads(js()), KEY: what})

    def _as_one(
        self, processed: Any, on: Sequence[tuple[int, str]], shown: Sequence[Shown]
    ) -> None:
        """Put the pairs and strips, as one picture, where the plot takes its picture from."""
        whole = [each.picture for each in shown if each.kind in (PAIR, ATTENTION)]
        if whole:
            text = on[0][1]
            processed.images[:] = [column(whole)]
            processed.infotexts, processed.index_of_first_image = [text], 0


def pictures_of(p: Any, processed: Any) -> list[tuple[int, str]]:
    """Return the index of each of the job's own pictures in `processed.images`, and its infotext.

    A grid may come before them, and with inpainting the masks may come after each.
    """
    opts, first = shared.opts, processed.index_of_first_image
    masked = getattr(p, "mask_for_overlay", None) is not None
    apart = 1 + masked * (bool(opts.return_mask) + bool(opts.return_mask_composite))
    rest = -(-(len(processed.images) - first) // apart)
    count = max(0, min(rest, len(processed.infotexts) - first, len(p.all_prompts)))
    return [(first + n * apart, processed.infotexts[first + n]) for n in range(count)]


def aligned(processed: Any, pictures: Sequence[tuple[int, str]]) -> list[str]:
    """Return an infotext for each of the images; a mask has that of its picture."""
    first = processed.index_of_first_image
    texts = list(processed.infotexts[:first])
    places = dict(pictures)
    now = processed.infotexts[first] if len(processed.infotexts) > first else ""
    for place in range(first, len(processed.images)):
        now = places.get(place, now)
        texts.append(now)
    return texts


def labelled(infotext: str, kind: str) -> str:
    """Return a picture's infotext for an extra picture of the given kind."""
    return f"{infotext}, {PREFIX}picture: {kind}"
