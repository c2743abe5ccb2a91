"""Pictures and speech of the mini world: scenes rendered to PNG, phrases synthesised to WAV."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from PIL import Image

from .mini_world import PIXELS, Placed, Scene

SAMPLE_RATE = 8000
_GLIDE_SAMPLES = 64
_HISS_SAMPLES = 8
_RGB = {
    "red": (225, 40, 40),
    "green": (40, 175, 60),
    "blue": (55, 95, 240),
    "yellow": (240, 215, 45),
    "white": (245, 245, 245),
    "purple": (190, 70, 220),
}
_SLOPE = np.linspace(-1, 1, PIXELS, dtype=np.float32)[:, None, None]
_STAR_ANGLES = np.pi * (0.5 + 2 * np.arange(5) / 5)
_TRIANGLE_ANGLES = np.pi * (0.5 + 2 * np.arange(3) / 3)
# Per letter: two resonances in Hz and the voiced share; the rest is noise around the second resonance.
_LETTERS = {
    "a": (750, 1250, 1.0), "e": (500, 1850, 1.0), "i": (300, 2300, 1.0), "o": (480, 850, 1.0), "u": (330, 1050, 1.0),
    "y": (280, 2600, 1.0), "w": (300, 700, 0.8), "l": (360, 1400, 0.7), "r": (430, 1150, 0.7), "m": (250, 950, 0.6),
    "n": (250, 1600, 0.6), "b": (250, 600, 0.5), "d": (250, 1800, 0.4), "g": (250, 1200, 0.4), "v": (250, 2200, 0.4),
    "c": (400, 1900, 0.0), "f": (400, 2700, 0.0), "h": (500, 1500, 0.0), "k": (400, 2200, 0.0), "p": (400, 900, 0.0),
    "q": (400, 1700, 0.0), "s": (400, 3300, 0.0), "t": (400, 3000, 0.0),
}  # fmt: skip
_SILENCE = (400, 1400, 0.0)


def render(scene: Scene, rng: np.random.Generator) -> bytes:
    """Returns the scene as a PNG file of 48 x 48 pixels, on a dark, tinted, noisy ground."""
    picture = 5 * rng.standard_normal((PIXELS, PIXELS, 1), dtype=np.float32) * np.ones(3, np.float32)
    picture += (rng.uniform(35, 75) + rng.uniform(-12, 12, size=3)).astype(np.float32)
    picture += _SLOPE * rng.uniform(-12, 12) + np.swapaxes(_SLOPE, 0, 1) * rng.uniform(-12, 12)
    for placed in scene.placed:
        window, distance = _distance(placed)
        cover = np.clip(0.5 - distance, 0, 1)[:, :, None]
        picture[window] += cover * (np.array(_RGB[placed.thing.colour]) * rng.uniform(0.88, 1.0) - picture[window])
    np.clip(picture, 0, 255, out=picture)
    with io.BytesIO() as file:
        Image.fromarray(picture.astype(np.uint8)).save(file, "PNG", compress_level=1)
        return file.getvalue()


def _distance(placed: Placed) -> tuple[tuple[slice, slice], np.ndarray]:
    """Returns the (rows, columns) around a thing in the picture, and the distance of each pixel there to the thing's shape."""
    reach = 1.3 * placed.radius + 1
    rows, columns = (slice(max(0, int(at - reach)), int(at + reach) + 1) for at in (placed.y, placed.x))
    x = np.arange(PIXELS)[None, columns] + 0.5 - placed.x
    y = placed.y - np.arange(PIXELS)[rows, None] - 0.5
    return (rows, columns), _outside(placed.thing.shape, x, y, placed.radius)


def _outside(shape: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Returns the distances in pixels of the points (x, y), y upwards, to a shape around the origin; they are negative inside."""
    across, up = np.abs(x), np.abs(y)
    match shape:
        case "circle":
            return np.hypot(x, y) - radius
        case "square":
            return np.maximum(across, up) - 0.86 * radius
        case "line":
            return np.maximum(across - radius, up - 0.3 * radius)
        case "cross":
            bar = 0.3 * radius
            return np.minimum(np.maximum(across - radius, up - bar), np.maximum(across - bar, up - radius))
        case "triangle":
            sides = [-np.cos(angle) * x - np.sin(angle) * (y + 0.2 * radius) for angle in _TRIANGLE_ANGLES]
            return np.max(sides, axis=0) - 0.58 * radius
    sides = [-np.cos(angle) * x - np.sin(angle) * y for angle in _STAR_ANGLES]
    return np.partition(np.array(sides), 3, axis=0)[3] - 0.38 * radius


def speak(text: str, rng: np.random.Generator) -> bytes:
    """Returns the text spoken by a random voice, as a WAV file: 16 bits, 8 kHz, at most 1.3 s for six short words.

    Each letter has a sound, and a word glides from one to the next. The voice varies in pitch, length of the vocal tract, tempo
    and noise.
    """
    pitch, tract, tempo = rng.uniform(95, 220), rng.uniform(0.9, 1.12), rng.uniform(0.9, 1.15)
    sounds, seconds = _sounds(text, rng)
    lengths = np.maximum(1, (seconds / tempo * SAMPLE_RATE).astype(int))
    low, high, voiced, loud = _smooth(np.repeat(sounds, lengths, axis=0).T, _GLIDE_SAMPLES)
    time = np.arange(len(low)) / SAMPLE_RATE
    opening = 0.5 + 0.5 * np.cos(_radians(pitch * (1 - 0.15 * time)))
    first, second = np.sin(_radians(tract * low)), np.sin(_radians(tract * high))
    voice = opening * opening * opening * (first + 0.7 * second)
    hiss = 2 * second * _smooth(rng.standard_normal(len(low), dtype=np.float32), _HISS_SAMPLES)
    wave = rng.uniform(0.25, 0.45) * loud * (voiced * voice + (1 - voiced) * hiss)
    wave += rng.uniform(0.001, 0.012) * rng.standard_normal(len(wave), dtype=np.float32)
    with io.BytesIO() as file:
        soundfile.write(file, np.clip(wave, -1, 1), SAMPLE_RATE, format="WAV", subtype="PCM_16")
        return file.getvalue()


def _sounds(text: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns (low, high, voiced, loud) per sound, float64 [sounds, 4], and the sounds' lengths in seconds, float64 [sounds]."""
    sounds, seconds = [(*_SILENCE, 0.0)], [rng.uniform(0.02, 0.06)]
    for word in text.split():
        weights = np.array([1.6 if letter in "aeiouy" else 1.0 for letter in word])
        sounds += [(*_LETTERS[letter], 1.0) for letter in word] + [(*_SILENCE, 0.0)]
        seconds += [*(weights / weights.sum() * (0.1 + 0.01 * len(word)) * rng.uniform(0.92, 1.08)), rng.uniform(0.015, 0.03)]
    return np.array(sounds), np.array(seconds)


def _radians(hertz: np.ndarray) -> np.ndarray:
    """Returns the phase [samples] of an oscillator of frequency `hertz` [samples], in float32 since its sine is faster."""
    return (2 * np.pi / SAMPLE_RATE * np.cumsum(hertz)).astype(np.float32)


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Returns the running means over `width` values along the last axis, in the shape of `values`."""
    edges = [(0, 0)] * (values.ndim - 1) + [(width // 2, width - width // 2)]
    total = np.cumsum(np.pad(values, edges, mode="edge"), axis=-1)
    return (total[..., width:] - total[..., :-width]) / width
