"""The script by which the WebUI loads EBCA: the accordion in txt2img and img2img, the axes of the
X/Y/Z plot, and the tab of the blind vote."""

import runpy
from pathlib import Path

from modules import script_callbacks, scripts

ROOT, WEBUI = Path(__file__).parents[1], Path(scripts.__file__).parents[1]

job, callbacks = None, {}
if not (trouble := runpy.run_path(str(ROOT / "install.py"))["here"](WEBUI)):
    try:
        from ebca.webui import accordion, axes, interrogators, job, refusal, vote

        callbacks = {
            script_callbacks.on_before_ui: axes.register,
            script_callbacks.on_after_component: interrogators.note,
            script_callbacks.on_ui_tabs: vote.tab,
            script_callbacks.on_app_started: vote.serve,
        }
    except (ImportError, AttributeError) as error:
        job, trouble = None, f"this program lacks a part of a WebUI that it works with ({error})"
if trouble:
    print(f"EBCA is off: {trouble}.")


class EBCA(scripts.Script):
    def title(self):
        return "EBCA"

    def show(self, is_img2img):
        return job is not None and scripts.AlwaysVisible

    def ui(self, is_img2img):
        made = accordion.build("img2img" if is_img2img else "txt2img")
        self.infotext_fields = made.infotext_fields
        self.paste_field_names = made.paste_field_names
        return made.controls

    def before_process(self, p, *arguments):
        job.prepare(p, arguments)

    def process(self, p, *arguments):
        job.take_part(p, arguments)

    def process_before_every_sampling(self, p, *arguments, c=None, **kwargs):
        job.begin_pass(p, c)

    def postprocess(self, p, processed, *arguments):
        job.leave(p)


if job is not None:
    refusal.speak_plainly()
for listen, listener in callbacks.items():
    listen(listener)
