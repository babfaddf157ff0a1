"""Make `emoji.png`, all sprites side by side: `python -m small_model.sprite_sheet FOLDER`.

FOLDER has Twemoji's SVG files, as in the npm package @twemoji/svg; resvg-py must be installed. Only
this command needs either: the picture is part of the checkout.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from small_model.sprites import SHEET, SPRITES, TILE

CREDIT = "Twemoji, (c) Twitter, Inc and other contributors, CC-BY 4.0; cropped and rasterised"


def sheet(folder: Path) -> Image.Image:
    """Draw every sprite in the middle of its tile, as large as fits."""
    picture = Image.new("RGBA", (TILE * len(SPRITES), TILE))
    for place, sprite in enumerate(SPRITES.values()):
        tile = _cropped(_rasterised(folder / f"{sprite.code}.svg"))
        left, top = ((TILE - length) // 2 for length in tile.size)
        picture.paste(tile, (place * TILE + left, top))
    return picture


def _rasterised(path: Path) -> Image.Image:
    import resvg_py  # type: ignore[import-not-found]

    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=4 * TILE))))


def _cropped(picture: Image.Image) -> Image.Image:
    """Cut off the transparent border and scale the longer side to a tile's."""
    solid = picture.getchannel("A").point(lambda alpha: 255 if alpha > 16 else 0)
    tile = picture.convert("RGBA").crop(solid.getbbox())
    scale = TILE / max(tile.size)
    width, height = (max(1, round(length * scale)) for length in tile.size)
    return tile.resize((width, height), Image.Resampling.LANCZOS)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m small_model.sprite_sheet", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=SHEET)
    chosen = parser.parse_args()
    credit = PngInfo()
    credit.add_text("Copyright", CREDIT)
    sheet(chosen.folder).save(chosen.out, optimize=True, pnginfo=credit)


if __name__ == "__main__":
    main()
