"""Makes picture files as programs and cameras write them, with the pixels that Pillow shows of each."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

HEIGHT, WIDTH = 24, 32
_Y, _X = np.mgrid[:HEIGHT, :WIDTH]
RGB = np.stack([_X * 8, _Y * 10, (_X + _Y) * 4], -1).astype(np.uint8)
ALPHA = (_X * 8).astype(np.uint8)


def write(image, kind, **options):
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def with_exif(orientation, kind="JPEG", endian="<"):
    """Returns a file with EXIF as a camera writes it: the orientation stands between two other tags."""
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F], exif[0x0112], exif[0x0131] = "Maker", orientation, "1.0"
    return write(Image.fromarray(RGB), kind, exif=exif)


def rgb_of_16_bits(values):
    """Returns a PNG of 16 bits per colour from uint16 [H, W, 3]; Pillow does not write this kind."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def files():
    """Returns {name: content} of all files; names of JPEG files end in .jpg, those of PNG files in .png."""
    image, rgba = Image.fromarray(RGB), Image.fromarray(np.dstack([RGB, ALPHA]))
    grey, palette = image.convert("L"), image.convert("P")
    cmyk = write(image.convert("CMYK"), "JPEG")
    adobe = cmyk.index(b"Adobe") + 11
    made = {
        "baseline.jpg": write(image, "JPEG"),
        "progressive.jpg": write(image, "JPEG", progressive=True),
        "grey.jpg": write(grey, "JPEG"),
        "cmyk.jpg": cmyk,
        "cmyk_unmarked.jpg": cmyk.replace(cmyk[adobe - 15 : adobe + 1], b""),
        "ycck.jpg": cmyk[:adobe] + b"\x02" + cmyk[adobe + 1 :],
        "rgb.png": write(image, "PNG"),
        "rgb16.png": rgb_of_16_bits(RGB.astype(np.uint16) * 257),
        "1bit.png": write(image.convert("1"), "PNG"),
        "4bit.png": write(image.convert("P", palette=Image.Palette.ADAPTIVE, colors=9), "PNG"),
        "palette.png": write(palette, "PNG"),
        "grey.png": write(grey, "PNG"),
        "transparent.png": write(rgba, "PNG"),
        "grey_transparent.png": write(rgba.convert("LA"), "PNG"),
        "palette_transparent.png": write(palette, "PNG", transparency=bytes(range(256))),
        "one_colour_transparent.png": write(image, "PNG", transparency=tuple(RGB[3, 4].tolist())),
        "1bit_transparent.png": write(image.convert("1"), "PNG", transparency=0),
        "opaque.png": write(image.convert("RGBA"), "PNG"),
        "a.gif": write(palette, "GIF", transparency=3),
        "animated.gif": write(image, "GIF", save_all=True, append_images=[image.rotate(90), image.rotate(180)]),
        "a.webp": write(rgba, "WEBP", lossless=True),
        "a.bmp": write(image, "BMP"),
        "a.tif": write(image, "TIFF", compression="tiff_lzw"),
        "cmyk.tif": write(image.convert("CMYK"), "TIFF"),
        "a.avif": write(image, "AVIF"),
        "a.jp2": write(image, "JPEG2000"),
        "a.ppm": write(image, "PPM"),
    }
    made |= {f"exif{o}{endian}.jpg": with_exif(o, endian=endian) for o in range(1, 9) for endian in "<>"}
    return made | {"exif6.png": with_exif(6, "PNG"), "exif3.webp": with_exif(3, "WEBP"), "exif8.tif": with_exif(8, "TIFF")}


def deep_grey(most):
    """Returns a PNG of 16-bit grey whose largest value is `most`, and the pixels that should be read of it."""
    values = np.linspace(0, most, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    white = 2 ** max(8, most.bit_length()) - 1
    return write(Image.fromarray(values), "PNG"), np.rint(values * (255 / white))[..., None].repeat(3, -1)


def seen(content, mode="RGB"):
    """Returns the pixels that Pillow shows of a file, uint8 [H, W, C]."""
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    flat = np.asarray(Image.alpha_composite(white, upright).convert(mode))
    return flat.reshape(*flat.shape[:2], -1)
