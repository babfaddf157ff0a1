"""Beside other people's extensions: those of `neighbours.NEIGHBOURS` that the host has.

Off must be the other alone, bit for bit. What a host without the one or the other makes is only
known there: with EBCA_NEIGHBOURS=<a file>, a host without EBCA, and one with nothing but EBCA,
write down what their pictures are, and one with both compares its own to that.
"""

import os

import pytest

from webui.client import JOB, PROMPT, RefusedError, alike, apart, encoded, same
from webui.neighbours import BUT, CASES, EBCA, OUT, Neighbour, Pictures, fingerprint, lists

NOBODY = Neighbour("nobody", acts=False)


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
        job = {**neighbour.given(case, on=on), **changes}
        tab = job.pop("tab", "txt2img")
        job = _with_picture(job, encoded(sketch))
        if tab == "img2img":
            size = job["width"] // 64
            picture, mask = sketch.repeat(size, 0).repeat(size, 1), half.repeat(size, 0)
            return webui.img2img(picture, mask=mask.repeat(size, 1), ebca=ebca, **job)
        return webui.txt2img(ebca=ebca, **job)

    return run


def _with_picture(value, picture):
    """`value` with the picture in place of "{sketch}"."""
    if isinstance(value, dict):
        return {key: _with_picture(each, picture) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_picture(each, picture) for each in value]
    return picture if value == "{sketch}" else value


@pytest.fixture
def beside(neighbour, has_ebca, listed):
    """The neighbour, on a host that has EBCA and what the neighbour needs."""
    if not has_ebca:
        pytest.skip("the WebUI has no EBCA: its pictures were only written down")
    if neighbour.needs and neighbour.needs not in listed:
        pytest.skip(f"the WebUI has no {neighbour.needs}, which {neighbour.name} needs")
    return neighbour


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
    if neighbour.repeats:
        pictures.write(neighbour.name, case, run(neighbour, case, on=True))


# Both


@pytest.mark.parametrize("case", CASES)
def test_both_off_is_neither(run, pictures, beside, case):
    off = run(beside, case)
    assert same(off, run(beside, case, ebca={"enabled": False}))
    assert pictures.agree(f"{beside.name}, off", case, off)
    if not beside.job:
        assert pictures.agree("neither", case, off)
    assert not off.labels


@pytest.mark.parametrize("case", CASES)
def test_each_alone_is_itself(run, pictures, beside, case):
    off, other = run(beside, case), run(beside, case, on=True)
    ebca = run(beside, case, ebca=EBCA)
    assert changed(off, ebca), "EBCA did nothing"
    assert beside.job or pictures.agree("EBCA", case, ebca)
    if beside.acts:
        assert changed(off, other), "the neighbour did nothing"
    if beside.repeats:
        assert same(other, run(beside, case, on=True))
        assert pictures.agree(beside.name, case, other)
    assert same(off, run(beside, case))


@pytest.mark.parametrize("case", CASES)
def test_both_on(run, comments, beside, case):
    off, other, ebca = run(beside, case), run(beside, case, on=True), run(beside, case, ebca=EBCA)
    both = run(beside, case, on=True, ebca=EBCA)
    said = comments()
    if beside.repeats:
        assert same(both, run(beside, case, on=True, ebca=EBCA)), "it is another picture each time"
    if beside.expect(case) == OUT:
        assert same(both, other), "EBCA changed what it should have left alone"
        assert said is None or any(beside.says in line for line in said), said
        assert not both.labels, "the infotext tells of what did not happen"
    else:
        assert changed(both, other), "EBCA did nothing"
        assert changed(both, ebca) == beside.acts, "the neighbour did nothing, or too much"
        assert both.labels
    assert same(off, run(beside, case))
    assert same(ebca, run(beside, case, ebca=EBCA))


def test_what_and_has_twice_is_there_once(run, beside):
    """An average of a prompt with itself is that prompt, whoever else is at work."""
    if beside.expect("AND") == OUT:
        pytest.skip("EBCA leaves AND to it")
    average = {"gamma_attn": 0, "gamma_norm": 0, "contrast": 0, "composition": "average"}
    once = run(beside, "plain", on=True, ebca=average)
    first, *more = beside.given("plain", on=True)["prompt"].split(" AND ")
    if more or not beside.repeats:
        pytest.skip("its prompts have AND of their own, or it makes another picture each time")
    twice = run(beside, "plain", on=True, ebca=average, prompt=f"{first} AND {first} :0.5")
    assert alike(once, twice), apart(once, twice)


@pytest.mark.parametrize("case", ["batch of 2", "batch_cond_uncond off"])
def test_rows_are_told_apart(run, beside, case):
    """The first of two pictures is the one that is made alone, if that is so without EBCA."""
    if beside.expect(case) == OUT or not beside.repeats:
        pytest.skip("EBCA stays out, or no picture is made twice")

    def first(case, ebca):
        result = run(beside, case, on=True, ebca=ebca)
        return type(result)(result.pictures[:1], result.infotexts[:1])

    if not alike(first("plain", None), first(case, None)):
        pytest.skip("its own pictures differ")
    for prompt in (PROMPT, CASES["AND"]["prompt"]):
        neighbour = Neighbour(**{**vars(beside), "job": {**beside.job, "prompt": prompt}})
        one, other = (run(neighbour, each, on=True, ebca=EBCA) for each in ("plain", case))
        pair = [type(each)(each.pictures[:1], each.infotexts[:1]) for each in (one, other)]
        assert alike(*pair), (prompt, apart(*pair))


# What a job that did not end well leaves behind


def test_after_a_refusal(run, pictures, beside):
    off, other = run(beside, "plain"), run(beside, "plain", on=True)
    both = run(beside, "plain", on=True, ebca=EBCA)
    for prompt in (JOB["prompt"], "a AND b :-1"):
        refused = {**EBCA, "composition": "average", "gamma_attn": 99 if prompt == PROMPT else 0}
        with pytest.raises(RefusedError) as error:
            run(beside, "plain", on=True, ebca=refused, prompt=prompt)
        assert error.value.status == 422
    assert same(off, run(beside, "plain"))
    if beside.repeats:
        assert same(other, run(beside, "plain", on=True))
        assert same(both, run(beside, "plain", on=True, ebca=EBCA))
    assert same(off, run(beside, "plain"))


@pytest.mark.parametrize("where", ["first", "last"])
def test_after_an_error(run, fault, beside, where):
    """An error in the middle of a job of both."""
    off, ebca = run(beside, "plain"), run(beside, "plain", ebca=EBCA)
    other, both = (run(beside, "plain", on=True, ebca=each) for each in (None, EBCA))
    fault("ebca.hosts.webui:WebUISampling._begin", "error", after=1 if where == "first" else 4)
    with pytest.raises(RefusedError) as error:
        run(beside, "plain", on=True, ebca=EBCA)
    assert error.value.status == 500
    if beside.expected != BUT:
        assert same(off, run(beside, "plain"))
    assert same(ebca, run(beside, "plain", ebca=EBCA))
    if beside.repeats:
        assert same(other, run(beside, "plain", on=True))
        assert same(both, run(beside, "plain", on=True, ebca=EBCA))
    assert same(off, run(beside, "plain"))
