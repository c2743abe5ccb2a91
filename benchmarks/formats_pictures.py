"""The part of formats.py for pictures: one file per format and kind of pixels, and the routes that read it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# A route takes a file's bytes and returns the pixels that a model reads and the changes made to them.
Route = Callable[[bytes], tuple[np.ndarray, tuple[str, ...]]]
PACKAGES = ("pillow", "tensorflow")
SCALED = "`mm-datagen --image_size`"


def picture_files() -> dict[str, bytes]:
    """Returns one file per row, by the name of its row."""
    import pictures
    from PIL import Image

    files, image = pictures.files(), Image.fromarray(pictures.RGB)
    rows = {
        "JPEG, baseline": "baseline.jpg",
        "JPEG, progressive": "progressive.jpg",
        "JPEG, grey": "grey.jpg",
        "JPEG, CMYK": "cmyk.jpg",
        "JPEG, CMYK without Adobe's marker": "cmyk_unmarked.jpg",
        "JPEG, YCCK": "ycck.jpg",
        "JPEG, EXIF 3": "exif3<.jpg",
        "JPEG, EXIF 6": "exif6>.jpg",
        "PNG": "rgb.png",
        "PNG, grey": "grey.png",
        "PNG, 1 bit": "1bit.png",
        "PNG, palette": "palette.png",
        "PNG, palette of 4 bits": "4bit.png",
        "PNG, colours of 16 bits": "rgb16.png",
        "PNG, RGBA": "transparent.png",
        "PNG, grey and alpha": "grey_transparent.png",
        "PNG, palette with alpha": "palette_transparent.png",
        "PNG, a transparent colour": "one_colour_transparent.png",
        "PNG, EXIF 6": "exif6.png",
        "GIF": "a.gif",
        "GIF, animated": "animated.gif",
        "WebP, RGBA": "a.webp",
        "BMP": "a.bmp",
        "TIFF": "a.tif",
        "TIFF, CMYK": "cmyk.tif",
        "AVIF": "a.avif",
        "JPEG 2000": "a.jp2",
        "PPM": "a.ppm",
    }
    made = {row: files[name] for row, name in rows.items()}
    made["PNG, grey of 16 bits"], made["PNG, grey of 10 of 16 bits"] = (pictures.deep_grey(most)[0] for most in (65535, 1008))
    made["TIFF, floating point"] = pictures.write(Image.new("F", image.size, 0.5), "TIFF")
    made["ICO"] = pictures.write(image, "ICO")
    made |= {f"{kind}, cut short": made[kind][: len(made[kind]) // 2] for kind in ("JPEG, baseline", "PNG")}
    return made


def picture_routes() -> dict[str, Route]:
    """Returns the functions that the routes call for one file, by the heads of the columns."""
    import tensorflow as tf

    from t2t_multimodel.data.generation.encode import check_example
    from t2t_multimodel.data.graph.pictures import any_pixels, stored_pixels
    from t2t_multimodel.decoding.files import read_raw
    from t2t_multimodel.features import Image, Label
    from t2t_multimodel.problem import Problem

    problem = Problem("photos", Image(8, 8), Label(("a",)), "to_class", generate=lambda split, tmp_dir: ())
    served = tf.function(lambda content: any_pixels(content, 3), autograph=False)

    def datagen(content: bytes, image_size: int = 0) -> tuple[np.ndarray, tuple[str, ...]]:
        checked = check_example(problem, {"inputs": content, "targets": "a"}, "file", image_size)
        return stored_pixels(tf.constant(checked.inputs), 3).numpy(), checked.changes

    def decoder(content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            path.write_bytes(content)
            try:
                found: Any = read_raw(problem.inputs, str(path))
            except Exception as error:
                raise type(error)(str(error).replace(str(path), "file")) from None
        return stored_pixels(tf.constant(found.content), 3).numpy(), found.changes

    def graph(content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        try:
            return served(tf.constant(content)).numpy(), ()
        except tf.errors.InvalidArgumentError as error:
            sentence = "a picture must be the bytes of a JPEG or PNG file"
            raise ValueError(sentence if sentence in error.message else "a damaged file") from None

    return {
        "`mm-datagen`": datagen,
        SCALED: lambda content: datagen(content, 12),
        "`mm-decoder`, prompt, Python": decoder,
        "served model": graph,
    }


def is_right(pixels: np.ndarray, name: str, content: bytes) -> bool:
    """Whether pixels, scaled down or not, are those that Pillow shows."""
    import pictures
    from PIL import Image

    if name.startswith("PNG, grey of 1"):
        seen = pictures.deep_grey(1008 if "10 of" in name else 65535)[1].astype(np.uint8)
    else:
        seen = pictures.seen(content)
    if pixels.shape == seen.shape:
        return bool(np.abs(pixels.astype(int) - seen).max() <= 1)
    small = Image.fromarray(seen).resize(pixels.shape[1::-1], Image.Resampling.LANCZOS)
    # A scaled JPEG is compressed once more, so single pixels may differ by more.
    return bool(np.abs(pixels - np.asarray(small, float)).mean() < 5)
