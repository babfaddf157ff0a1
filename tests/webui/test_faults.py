"""Whatever goes wrong, wherever: the next pictures are those of a fresh process.

Faults are put in by the extension in `testing_extension`, which has to be linked into the host.
"""

import os

import pytest

from webui.client import RefusedError, encoded, same
from webui.neighbours_known import CASES, EBCA, HIRES, Pictures, present

AND = {"prompt": CASES["AND"]["prompt"]}
ERRORS = [
    ("error", "first"),
    ("error", "middle"),
    ("error", "last"),
    ("out of memory", "last"),
    ("out of memory, as RuntimeError", "middle"),
]
STOPS = [("interrupt", "first"), ("interrupt", "last"), ("skip", "middle")]

POINTS = {
    "a layer is reached": "ebca.core.hooks:LayerHooks._arrive",
    "a linear is called": "ebca.core.hooks:LayerCall.see",
    "a linear has been called": "ebca.core.hooks:LayerCall.note",
    "heads are mixed": "ebca.core.hooks:LayerHooks._mix_heads",
    "a layer is left": "ebca.core.hooks:LayerHooks._depart",
    "an evaluation begins": "ebca.core.engine:Engine._begin",
    "an evaluation ends": "ebca.core.engine:Engine._end",
    "an evaluation is described": "ebca.hosts.webui:WebUISampling._describe",
    "rows are announced": "ebca.hosts.webui:WebUISampling._note_announced",
    "the model is called": "ebca.hosts.webui:WebUISampling._begin",
    "the model has been called": "ebca.hosts.webui:WebUISampling._end",
    "hooks are installed": "ebca.core.engine:Engine.install",
    "the job is checked": "ebca.webui.job:Job._check",
    "the prompts are checked": "ebca.webui.job:Job._check_prompts",
    "prompts are read": "ebca.webui.passes:Pass._read",
    "texts are encoded": "ebca.webui.passes:_encode",
    "prompts are encoded": "ebca.webui.encoded:EncodedPrompts.mains",
    "prompts are given to the engine": "ebca.webui.encoded:EncodedPrompts.images",
    "a sampling is set up": "ebca.hosts.webui:WebUISampling.open",
    "the WebUI samples": "modules.sd_samplers_cfg_denoiser:CFGDenoiser.forward",
    "between the passes": "modules.processing:StableDiffusionProcessingTxt2Img.sample_hr_pass",
    "the picture is decoded": "modules.processing:decode_latent_batch",
}
"""Where things go wrong: in every function of EBCA's that the host calls, and around them."""

FORGE = {
    "rows are announced": "ebca.hosts.forge:ForgeSampling._note_announced",
    "conditions are made": "ebca.hosts.forge:ForgeSampling._mark",
    "the model is called": "ebca.hosts.forge:ForgeSampling._take_mark",
}
"""Where Forge and its relatives do it in another place, or alone."""

CROWD = ("ControlNet, reference_only", "incantations, PAG", "NegPiP")
"""Neighbours with many hooks."""


@pytest.fixture(scope="module")
def jobs(host, sketch):
    """The jobs before and after a fault, by what is on: nothing, EBCA, others, both."""
    crowd = [each for each in present(host) if each.name in CROWD]
    scripts = {}
    for each in crowd:
        for args in each.given("plain", on=True)["alwayson_scripts"].values():
            units = [
                {**arg, "image": encoded(sketch)} if isinstance(arg, dict) else arg
                for arg in args["args"]
            ]
            scripts[each.script] = {"args": units}
    return {
        False: {},
        True: {"alwayson_scripts": scripts} if len(crowd) == len(CROWD) else None,
    }


@pytest.fixture(params=[False, True], ids=["alone", "with three neighbours"])
def crowd(request, jobs):
    """What a job has beside EBCA."""
    if jobs[request.param] is None:
        pytest.skip(f"the WebUI lacks one of {', '.join(CROWD)}")
    return jobs[request.param]


def pictures(webui, crowd):
    """What is to be the same after a fault; off, on, and the same with the others."""
    brief = {**AND, "steps": 4}
    made = {"off": webui.txt2img(steps=4), "EBCA": webui.txt2img(**brief, ebca=EBCA)}
    if crowd:
        made["others"] = webui.txt2img(**brief, **crowd)
        made["both"] = webui.txt2img(**brief, **crowd, ebca=EBCA)
        made["off again"] = webui.txt2img(steps=4)
    return made


_fresh = {}


@pytest.fixture
def fresh(webui, crowd, no_faults):
    """The pictures before any fault; compared to those of other processes, if they are known."""
    key = bool(crowd)
    if key not in _fresh:
        made = pictures(webui, crowd)
        known = Pictures(os.environ.get("EBCA_NEIGHBOURS"))
        for who in ("off", "EBCA"):
            assert known.agree(f"a fresh process, {who}", "faults", made[who])
            known.write(f"a fresh process, {who}", "faults", made[who])
        _fresh[key] = made
    return _fresh[key]


@pytest.fixture
def nothing_left(webui, crowd, fresh):
    yield
    for who, made in pictures(webui, crowd).items():
        assert same(fresh[who], made), f"the next picture ({who}) is another one"


_counts = {}


def call(fault, webui, where, job, which):
    """The number of the first, middle or last call of `where` in a whole job."""
    key = (where, len(job))
    if key not in _counts:
        count = fault(where, "nothing", after=0)
        webui.txt2img(**job, ebca=EBCA)
        _counts[key] = count()["calls"]
    calls = _counts[key]
    assert calls, "it is never called"
    if calls == 1 and which != "first":
        pytest.skip("it is called once")
    return {"first": 1, "middle": (calls + 1) // 2, "last": calls}[which]


def _job(crowd):
    return {**AND, "steps": 4, **HIRES, **crowd}


@pytest.fixture(params={**POINTS, **FORGE})
def where(webui, request):
    """Each place that the host's family has."""
    point = request.param
    if webui.get("/ebca-testing/left")["modifiers"] is not None:
        return {**POINTS, **FORGE}[point]
    if point not in POINTS:
        pytest.skip("the WebUI is not of Forge's family")
    return POINTS[point]


@pytest.mark.parametrize(("what", "which"), ERRORS)
def test_after_an_error(webui, fault, crowd, nothing_left, where, what, which):
    job = _job(crowd)
    told = fault(where, what, after=call(fault, webui, where, job, which))
    status = 200
    try:
        webui.txt2img(**job, ebca=EBCA)
    except RefusedError as error:
        status = error.status
    # a neighbour evaluates the model in callbacks, where the WebUI logs errors as well
    assert status in ({200, 500} if crowd else {500})
    assert not told()["waiting"]


@pytest.mark.parametrize(("what", "which"), STOPS)
def test_after_a_stop(webui, fault, crowd, nothing_left, where, what, which):
    job = _job(crowd)
    told = fault(where, what, after=call(fault, webui, where, job, which))
    webui.txt2img(**job, ebca=EBCA)
    assert not told()["waiting"]
