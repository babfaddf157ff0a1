"""Extensions that make no picture but ask for one, or read what is written in it."""

import base64
import time
import urllib.parse

import numpy as np
import pytest

from webui.client import JOB, RefusedError, decoded, labels
from webui.neighbours_known import EBCA

ON = {"alwayson_scripts": {"EBCA": {"args": [{"enabled": True, **EBCA}]}}}


def ask(call, *args):
    """The host's answer; skips the test on one without the extension."""
    try:
        return call(*args)
    except RefusedError as error:
        if error.status == 404:
            pytest.skip(f"the WebUI has no {args[0].split('/')[1]}")
        raise


def test_a_job_of_agent_schedulers_queue(webui):
    direct = webui.txt2img(ebca=EBCA)
    job = {**JOB, **ON, "checkpoint": None}
    task = ask(webui.post, "/agent-scheduler/v1/queue/txt2img", job)["task_id"]
    for _ in range(60):
        time.sleep(0.5)
        done = webui.get(f"/agent-scheduler/v1/task/{task}/results")
        if done.get("success"):
            break
    assert done["success"], done
    (made,) = done["data"]
    assert np.array_equal(decoded(made["image"].partition(",")[2]), direct.picture)
    assert labels(made["infotext"]) == direct.labels


def test_infinite_image_browsing_reads_the_infotext(webui, tmp_path):
    """On the machine that the host runs on."""
    answer = webui.post("/sdapi/v1/txt2img", {**JOB, **ON})
    path = tmp_path / "picture.png"
    path.write_bytes(base64.b64decode(answer["images"][0]))
    query = urllib.parse.quote(str(path))
    read = ask(webui.get, f"/infinite_image_browsing/image_geninfo?path={query}")
    if not read:
        pytest.skip("the WebUI cannot see this machine's files")
    assert labels(read)["gamma_attn"] == "0.03"
