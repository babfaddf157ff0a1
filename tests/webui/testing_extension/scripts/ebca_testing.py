"""For tests alone: a way into a WebUI under test, for faults to come in and comments to go out.

No part of EBCA and not to be installed where anybody works: see README.md beside it.

    POST /ebca-testing/fault {"where": "module:Class.method", "what": ..., "after": n}
        at the n-th call of `where`, do once what `what` says; then all is as it was
    GET  /ebca-testing/fault     {"waiting": whether it still waits, "calls": calls of it so far}
    DELETE /ebca-testing/fault   take it back
    POST /ebca-testing/interrogators {"CLIP": "a cat", "DeepBooru": null}
        what these say from now on, in the place of the WebUI's own, or that there is none, or
        "fail"; without any, the WebUI's own again
    GET  /ebca-testing/comments  the lines under the last job's pictures
    GET  /ebca-testing/calls     the calls of the UNet in the last job: rows and tokens of its
                                 context, and Forge's `cond_or_uncond` (null elsewhere)
    GET  /ebca-testing/left      what is on the model now: hooks, own forwards, Forge's modifiers
                                 (null elsewhere)
"""

import functools
import importlib
import sys

import torch
from fastapi import Body, HTTPException
from modules import script_callbacks, scripts, shared

try:
    from modules import deepbooru
except ImportError:  # a host without this interrogator
    deepbooru = None

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB (a test)"

last_job = {"comments": [], "processed": None, "calls": []}


def unet():
    model = shared.sd_model
    if hasattr(model, "forge_objects"):
        return model.forge_objects.unet.model.diffusion_model
    return model.model.diffusion_model


def note_call(_unet, args, kwargs):
    context = kwargs.get("context", args[2] if len(args) > 2 else None)
    order = kwargs.get("transformer_options", {}).get("cond_or_uncond")
    last_job["calls"].append({"rows": len(context), "tokens": context.shape[1], "order": order})


class Fault:
    """What goes wrong, once, at a call of one function."""

    def __init__(self, owner, name, what, after):
        self.owner, self.name, self.what, self.after = owner, name, what, after
        self.calls, self.waiting = 0, after > 0
        self.own = name in vars(owner)
        self.before = vars(owner).get(name, getattr(owner, name))
        function = getattr(owner, name)

        @functools.wraps(function)
        def faulty(*args, **kwargs):
            self.calls += 1
            if self.waiting and self.calls == self.after:
                self.waiting = False
                self.happen()
            return function(*args, **kwargs)

        setattr(owner, name, staticmethod(faulty) if self.is_static() else faulty)

    def is_static(self):
        return isinstance(self.before, staticmethod)

    def happen(self):
        if self.what == "error":
            raise ValueError("a test's error")
        if self.what == "out of memory":
            raise torch.cuda.OutOfMemoryError(OUT_OF_MEMORY)
        if self.what == "out of memory, as RuntimeError":
            raise RuntimeError(OUT_OF_MEMORY)
        if self.what == "interrupt":
            shared.state.interrupt()
        if self.what == "skip":
            shared.state.skip()

    def take_back(self):
        self.waiting = False
        if self.own:
            setattr(self.owner, self.name, self.before)
        else:
            delattr(self.owner, self.name)


WHAT = ("error", "out of memory", "out of memory, as RuntimeError", "interrupt", "skip", "nothing")
faults = []


def find(where):
    """(owner, name) of what `where` names; KeyError if there is no such thing."""
    module_name, _, path = where.partition(":")
    *outer, name = path.split(".")
    try:
        owner = sys.modules.get(module_name) or importlib.import_module(module_name)
        for part in outer:
            owner = getattr(owner, part)
        getattr(owner, name)
    except (ImportError, AttributeError) as error:
        raise KeyError(where) from error
    return owner, name


class Interrogator:
    """In the place of the WebUI's, which would load a model."""

    def __init__(self, says):
        self.says = says

    def interrogate(self, picture):
        if self.says == "fail":
            return "<error>"  # as the WebUI's does
        return f"{self.says} ({picture.mode} {picture.width}x{picture.height})"

    def tag(self, picture):
        if self.says == "fail":
            raise RuntimeError("a test's error")
        return self.interrogate(picture)


own_interrogators = {}


def stand_in(says):
    places = {"CLIP": (shared, "interrogator"), "DeepBooru": (deepbooru, "model")}
    for name, (owner, attribute) in places.items():
        if owner is None:
            continue
        own = own_interrogators.setdefault(name, getattr(owner, attribute))
        said = says.get(name, own)
        setattr(owner, attribute, Interrogator(said) if isinstance(said, str) else said)


def take_back():
    while faults:
        faults.pop().take_back()


def add_routes(_demo, app):
    @app.post("/ebca-testing/fault")
    def put(where: str = Body(), what: str = Body(), after: int = Body(1)):
        if what not in WHAT:
            raise HTTPException(422, f"what is {what!r}, but must be one of {WHAT}")
        take_back()
        try:
            faults.append(Fault(*find(where), what, after))
        except KeyError:
            raise HTTPException(404, f"there is no {where}") from None

    @app.get("/ebca-testing/fault")
    def get():
        return [{"waiting": fault.waiting, "calls": fault.calls} for fault in faults]

    @app.delete("/ebca-testing/fault")
    def delete():
        take_back()

    @app.post("/ebca-testing/interrogators")
    def interrogators(says: dict[str, str | None]):
        stand_in(says)

    @app.get("/ebca-testing/calls")
    def calls():
        return last_job["calls"]

    @app.get("/ebca-testing/left")
    def left():
        modules = list(unet().modules())
        objects = getattr(shared.sd_model, "forge_objects", None)
        modifiers = objects and len(objects.unet.model_options.get("conditioning_modifiers", ()))
        return {
            "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules),
            "forwards": sum("forward" in vars(module) for module in modules),
            "modifiers": modifiers,
        }

    @app.get("/ebca-testing/comments")
    def comments():
        processed = last_job["processed"]  # which gets lines after the job has ended, too
        later = processed.comments.splitlines() if processed else []
        return list(dict.fromkeys([*last_job["comments"], *later]))


class Comments(scripts.Script):
    """Keeps the lines that the page shows under the pictures and the API does not tell."""

    def title(self):
        return "EBCA testing"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p):
        last_job.update(comments=[], processed=None, calls=[])

    def process_batch(self, p, **kwargs):
        self.listening = unet().register_forward_pre_hook(note_call, with_kwargs=True)

    def postprocess(self, p, processed):
        last_job.update(comments=[*p.comments], processed=processed)
        self.listening.remove()


script_callbacks.on_app_started(add_routes)
