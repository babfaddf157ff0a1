"""Beside other people's extensions: those of `neighbours_known.NEIGHBOURS` that the host has.

Off must be the other alone, bit for bit. What a host without the one or the other makes is only
known there: with EBCA_NEIGHBOURS=<a file>, a host without EBCA, and one with nothing but EBCA,
write down what their pictures are, and one with both compares its own to that.
"""

import base64
import io
import os
from dataclasses import replace

import pytest
import torch

from webui.client import ONLY_PLACES, PROMPT, RefusedError, alike, apart, encoded, same
from webui.neighbours_known import (
    AND_LEFT,
    CASES,
    EBCA,
    ONLY_AND,
    Neighbour,
    Pictures,
    fingerprint,
    lists,
    present,
)

NOBODY = Neighbour("nobody", acts=False)

_LINGERING: list[dict] = []
"""Jobs that switch a neighbour off again, to be done before the next one."""


@pytest.fixture(scope="session")
def pictures():
    return Pictures(os.environ.get("EBCA_NEIGHBOURS"))


@pytest.fixture(scope="session")
def has_ebca(host):
    return "ebca" in host.get("/sdapi/v1/scripts")["txt2img"]


@pytest.fixture(scope="session")
def listed(host):
    return lists(host)


@pytest.fixture
def run(webui, sketch, half):
    """A job of a case: run(neighbour, case, on=..., ebca=..., **changes)."""

    def run(neighbour, case, *, on=False, ebca=None, **changes):
        while _LINGERING:
            ask(_LINGERING.pop(), None)
        if on and neighbour.lingers:
            _LINGERING.append({**neighbour.given(case, on=False), "steps": 1})
        return ask({**neighbour.given(case, on=on), **changes}, ebca)

    def ask(job, ebca):
        tab = job.pop("tab", "txt2img")
        job = _filled_in(job, {"{sketch}": encoded(sketch), "{embedding}": _embedding()})
        if tab == "img2img":
            size = job["width"] // 64
            picture, mask = sketch.repeat(size, 0).repeat(size, 1), half.repeat(size, 0)
            return webui.img2img(picture, mask=mask.repeat(size, 1), ebca=ebca, **job)
        return webui.txt2img(ebca=ebca, **job)

    return run


def _filled_in(value, given):
    """`value` with what is `given` in place of the keys of that."""
    if isinstance(value, dict):
        return {key: _filled_in(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled_in(each, given) for each in value]
    return given.get(value, value) if isinstance(value, str) else value


def _embedding():
    """A picture as an IP-Adapter of 16 channels is given it."""
    buffer = io.BytesIO()
    torch.save({"image_embeds": torch.linspace(-1, 1, 16)[None]}, buffer)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="session")
def memory():
    return {}


@pytest.fixture
def known(run, beside, memory):
    """known(case, on=..., ebca=...): a job's result when it was made for the first time."""

    def known(case, *, on=False, ebca=None):
        key = (beside.name, case, on, ebca is not None)
        if key not in memory:
            memory[key] = run(beside, case, on=on, ebca=ebca)
        return memory[key]

    return known


@pytest.fixture
def beside(request, neighbour, has_ebca, listed):
    """The neighbour, on a host that has EBCA and what the neighbour needs."""
    if not has_ebca:
        pytest.skip("the WebUI has no EBCA: its pictures were only written down")
    if neighbour.needs and neighbour.needs not in listed:
        pytest.skip(f"the WebUI has no {neighbour.needs}, which {neighbour.name} needs")
    if request.node.callspec.params.get("case") in neighbour.fails:
        pytest.skip(f"{neighbour.name} fails here without EBCA")
    return neighbour


def first(result):
    return type(result)(result.pictures[:1], result.infotexts[:1])


def changed(one, other):
    """Whether no picture is another's, bit for bit."""
    return not set(fingerprint(one)) & set(fingerprint(other))


# Pictures of hosts without the one or the other


@pytest.mark.parametrize("case", CASES)
def test_alone_is_written_down(run, pictures, has_ebca, host, case):
    """What a job looks like without any extension, and with EBCA alone."""
    if any("ebca" not in each["name"] for each in host.get("/sdapi/v1/extensions")):
        pytest.skip("the WebUI has other extensions")
    neither = run(NOBODY, case)
    if has_ebca:
        assert pictures.agree("neither", case, neither)
        pictures.write("EBCA", case, run(NOBODY, case, ebca=EBCA))
    else:
        pictures.write("neither", case, neither)


@pytest.mark.parametrize("case", CASES)
def test_a_neighbour_alone_is_written_down(run, pictures, has_ebca, listed, neighbour, case):
    if has_ebca:
        pytest.skip("the WebUI has EBCA")
    if neighbour.needs and neighbour.needs not in listed:
        pytest.skip(f"the WebUI has no {neighbour.needs}")
    pictures.write(f"{neighbour.name}, off", case, run(neighbour, case))
    if neighbour.repeats and case not in neighbour.fails:
        pictures.write(neighbour.name, case, run(neighbour, case, on=True))


# Both


@pytest.mark.parametrize("case", CASES)
def test_off_is_off(run, known, pictures, beside, case):
    """Both off is neither, EBCA off is the other alone, the other off is EBCA alone."""
    off, other, ebca = known(case), known(case, on=True), known(case, ebca=EBCA)
    assert changed(off, ebca), "EBCA did nothing"
    assert changed(off, other) == beside.acts, "the neighbour did nothing, or too much"
    assert same(off, run(beside, case, ebca={"enabled": False}))
    assert not off.labels
    assert pictures.agree(f"{beside.name}, off", case, off)
    if not beside.job and pictures.alike("neither", f"{beside.name}, off", case):
        assert pictures.agree("neither", case, off)
        assert pictures.agree("EBCA", case, ebca)
    if beside.repeats:
        assert same(other, run(beside, case, on=True, ebca={"enabled": False}))
        assert pictures.agree(beside.name, case, other)


@pytest.mark.parametrize("case", CASES)
def test_both_on(run, known, comments, beside, case):
    off, other, ebca = known(case), known(case, on=True), known(case, ebca=EBCA)
    both = run(beside, case, on=True, ebca=EBCA)
    said = comments()
    if beside.repeats:
        assert same(both, run(beside, case, on=True, ebca=EBCA)), "it is another one each time"
    assert changed(both, other), "EBCA did nothing"
    assert changed(both, ebca) == beside.acts, "the neighbour did nothing, or too much"
    assert both.labels
    if beside.expect(case) == AND_LEFT:
        assert said is None or any(beside.says in line for line in said), said
        assert both.labels["and_means"] == "webui", "the infotext tells of what did not happen"
        if beside.repeats:
            assert same(other, run(beside, case, on=True, ebca=ONLY_AND))
    assert same(off, run(beside, case))


def test_places_do_nothing_in_the_first_step(run, beside):
    """However often the neighbour evaluates it: places are found in it, and act from the next one
    on. What a neighbour adds to the first step is its own, with EBCA as without."""
    if not beside.repeats:
        pytest.skip("it makes another picture each time")
    try:
        alone = run(beside, "plain", on=True, steps=1)
    except RefusedError as error:
        pytest.skip(f"it fails at a single step without EBCA: {error.body[:80]}")
    assert same(alone, run(beside, "plain", on=True, steps=1, ebca=ONLY_PLACES))


@pytest.mark.parametrize("name", ["incantations, PAG", "incantations, SANF"])
def test_what_guidance_by_a_second_evaluation_adds_stays_its_own(run, host, name):
    """Over a whole job, what such a guidance changes is about as much beside EBCA as alone."""
    beside = next((each for each in present(host) if each.name == name), None)
    if beside is None:
        pytest.skip(f"the WebUI has no {name}")
    job = {"steps": 6, "sampler_name": "DPM++ 2M"}

    def share(ebca=None):
        return apart(*(run(beside, "plain", on=on, ebca=ebca, **job) for on in (False, True)))

    assert share(ONLY_PLACES) < 3 * share() + 1


def test_what_and_has_twice_is_there_once(run, beside):
    """An average of a prompt with itself is that prompt, whoever else is at work."""
    if beside.expect("AND") == AND_LEFT or beside.reads_all:
        pytest.skip("EBCA leaves AND to it, or it takes something of every prompt itself")
    average = {**ONLY_AND, "and_means": "average"}
    first, *more = beside.given("plain", on=True)["prompt"].split(" AND ")
    if more or not beside.repeats:
        pytest.skip("its prompts have AND of their own, or it makes another picture each time")
    once = run(beside, "plain", on=True, ebca=average)
    twice = run(beside, "plain", on=True, ebca=average, prompt=f"{first} AND {first} :0.5")
    assert alike(once, twice), apart(once, twice)


@pytest.mark.parametrize("prompt", [PROMPT, CASES["AND"]["prompt"]], ids=["one prompt", "AND"])
@pytest.mark.parametrize("case", ["batch of 2", "batch_cond_uncond off"])
def test_rows_are_told_apart(run, beside, case, prompt):
    """The first of two pictures is the one that is made alone, if that is so without EBCA."""
    if not beside.repeats:
        pytest.skip("it makes another picture each time")
    prompted = replace(beside, job={**beside.job, "prompt": prompt})

    def pair(ebca=None):
        return [first(run(prompted, each, on=True, ebca=ebca)) for each in ("plain", case)]

    try:
        own = pair()
    except RefusedError as error:
        pytest.skip(f"it fails here without EBCA: {error.body[:80]}")
    if not alike(*own):
        pytest.skip("without EBCA the two differ as well")
    one, other = pair(EBCA)
    assert alike(one, other), apart(one, other)


# What a job that did not end well leaves behind


@pytest.mark.parametrize("why", ["a value", "the prompt"])
def test_after_a_refusal(run, known, beside, why):
    off, other, ebca = known("plain"), run(beside, "plain", on=True), known("plain", ebca=EBCA)
    if why == "a value":
        bad = {"ebca": {"gamma_attn": 99}}
    elif beside.expect("AND") == AND_LEFT:
        pytest.skip("EBCA leaves AND to it")
    else:
        bad = {"ebca": {"and_means": "average"}, "prompt": "a cat AND a dog :-1"}
    with pytest.raises(RefusedError) as error:
        run(beside, "plain", on=True, **bad)
    assert error.value.status == 422
    assert same(off, run(beside, "plain"))
    assert same(ebca, run(beside, "plain", ebca=EBCA))
    if beside.repeats:
        assert same(other, run(beside, "plain", on=True))


@pytest.mark.parametrize("when", ["at the first step", "at the last step"])
def test_after_an_error(run, known, fault, beside, when):
    """An error in the middle of a job of both; unless the neighbour alone spoils the next picture
    as well."""
    if not beside.survives:
        pytest.skip("after an error of it the host is of no use, without EBCA")
    off, other, ebca = known("plain"), run(beside, "plain", on=True), known("plain", ebca=EBCA)
    after = 1 if when == "at the first step" else beside.given("plain", on=True)["steps"]

    def fails(ebca=None):
        fault("modules.sd_samplers_cfg_denoiser:CFGDenoiser.forward", "error", after=after)
        with pytest.raises(RefusedError) as error:
            run(beside, "plain", on=True, ebca=ebca)
        assert error.value.status == 500
        return run(beside, "plain")

    alone = fails()
    run(beside, "plain", on=True)  # which ends as it should, so that it clears up
    if not same(off, alone):
        pytest.skip("after an error it spoils the next picture, without EBCA")
    assert same(off, fails(EBCA))
    assert same(ebca, run(beside, "plain", ebca=EBCA))
    if beside.repeats:
        assert same(other, run(beside, "plain", on=True))
