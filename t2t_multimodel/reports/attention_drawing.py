"""Draws where a model looks while it writes an output, as SVG: a row per token, a column per position of the input.

Letters in shapes: T tokens, S positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_CELL, _CHARACTER, _GAP, _TEXT = 20, 7.6, 8, 14
_SMALL = 6  # the cell of a grid
_END = "(end)"


def draw_attention(weights: Sequence[Sequence[float]], tokens: Sequence[str], source: Sequence[str]) -> str:
    """Returns the SVG element of weights [T, S] over the tokens of an input, or over S parts of a sound if `source` is []."""
    names = [token.strip() or _END for token in tokens]
    left = max(map(len, names)) * _CHARACTER + _GAP
    heads = [token.strip() or _END for token in source]
    top = max(map(len, heads), default=0) * _CHARACTER + _GAP
    parts = []
    for column, head in enumerate(heads):
        x = left + (column + 0.7) * _CELL
        parts.append(_label(x, top - _GAP / 2, head, "start", f' transform="rotate(-90 {x:.1f} {top - _GAP / 2:.1f})"'))
    for row, (name, values) in enumerate(zip(names, weights, strict=True)):
        parts.append(_label(left - _GAP / 2, top + (row + 0.7) * _CELL, name, "end"))
        parts += [_cell(left + column * _CELL, top + row * _CELL, _CELL, value) for column, value in enumerate(values)]
    return _svg(left + len(weights[0]) * _CELL, top + len(names) * _CELL, parts)


def draw_grids(weights: Sequence[Sequence[float]], tokens: Sequence[str], width: int) -> str:
    """Returns the SVG element of weights [T, S] over a picture: for each token a grid of rows of `width` positions."""
    names = [token.strip() or _END for token in tokens]
    height = len(weights[0]) // width
    step = max(width * _SMALL, max(map(len, names)) * _CHARACTER) + _GAP
    parts = []
    for place, (name, values) in enumerate(zip(names, weights, strict=True)):
        parts.append(_label(place * step, _TEXT, name, "start"))
        for i, value in enumerate(values):
            x, y = place * step + i % width * _SMALL, _TEXT + _GAP + i // width * _SMALL
            parts.append(_cell(x, y, _SMALL, value / (max(values) or 1.0)))
    return _svg(len(names) * step, _TEXT + _GAP + height * _SMALL, parts)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    box = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="14">{"".join(parts)}</svg>'


def _cell(x: float, y: float, size: float, weight: float) -> str:
    opacity = f'fill-opacity="{min(max(weight, 0.0), 1.0):.2f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{size - 1}" height="{size - 1}" fill="#0b6fb8" {opacity}></rect>'


def _label(x: float, y: float, text: str, anchor: str, turned: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{escape(text)}</text>'
