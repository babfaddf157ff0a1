"""A plot that does what matters of the WebUI's `scripts/xyz_grid.py`, which the wheel lacks: a
list of axes that others extend, all values confirmed before the first cell, cells that are shallow
copies of the job."""

from copy import copy

from modules import processing, scripts, shared


class AxisOption:
    def __init__(
        self, label, type, apply, format_value=None, confirm=None, cost=0.0, choices=None,
        prepare=None,
    ):  # fmt: skip
        self.label, self.type, self.apply, self.confirm = label, type, apply, confirm
        self.choices = choices


axis_options = [AxisOption("Steps", int, lambda p, x, xs: setattr(p, "steps", x))]


class Script(scripts.Script):
    def title(self):
        return "X/Y/Z plot"

    def ui(self, is_img2img):
        return []

    def run(self, p, label, values):
        (axis,) = (axis for axis in axis_options if axis.label == label)
        values = [axis.type(value) for value in values]
        if axis.confirm:
            axis.confirm(p, values)
        cells = []
        for value in values:
            cell = copy(p)
            axis.apply(cell, value, values)
            done = processing.process_images(cell, {}, None, shared.sd_model, None)
            # the cells share them; the WebUI has written them into the cell's infotext by now
            done.extra_generation_params = dict(done.extra_generation_params)
            cells.append(done)
        return cells
