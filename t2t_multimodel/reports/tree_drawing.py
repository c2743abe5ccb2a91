"""Draws a parse tree as SVG: words along the bottom, each constituent above the middle of its words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from t2t_multimodel.data.trees import Span, spans

_GAP, _ROW, _TEXT = 16.0, 40.0, 14.0
# Pixels of characters in the widest of the usual fonts, at a size of 14.
_NARROW, _USUAL, _CAPITAL, _WIDE = 6.0, 9.0, 11.0, 14.5


def draw_tree(words: Sequence[str], linearised: str, reference: str = "") -> str | None:
    """Returns the SVG element of a linearised tree over `words`, with constituents and tags marked that `reference` lacks.

    Returns None if `linearised` is not a well-formed tree over exactly these words.
    """
    parsed = spans(linearised)
    if parsed is None or len(parsed[0]) != len(words):
        return None
    tags, constituents = parsed
    known = spans(reference) if reference else None
    right_tags, right_spans = known if known and len(known[0]) == len(words) else (tags, constituents)
    widths = [max(text_width(word), text_width(tag)) + _GAP for word, tag in zip(words, tags, strict=True)]
    lefts = [sum(widths[:i]) for i in range(len(widths) + 1)]
    middles = [left + width / 2 for left, width in zip(lefts[:-1], widths, strict=True)]
    depths = _depths(constituents)
    bottom = (max(depths) + 1) * _ROW
    parts = []
    for i, (word, tag) in enumerate(zip(words, tags, strict=True)):
        parent = next(place for place, span in enumerate(constituents) if span.start <= i < span.end)
        parts.append(_line(_middle(constituents[parent], lefts), depths[parent] * _ROW, middles[i], bottom))
        parts.append(_label(middles[i], bottom, tag, tag != right_tags[i]))
        parts.append(_line(middles[i], bottom, middles[i], bottom + _ROW))
        parts.append(_label(middles[i], bottom + _ROW, word, False))
    for place, span in enumerate(constituents):
        if place + 1 < len(constituents):
            parent = _parent(place, constituents)
            ends = _middle(constituents[parent], lefts), depths[parent] * _ROW
            parts.append(_line(*ends, _middle(span, lefts), depths[place] * _ROW))
        parts.append(_label(_middle(span, lefts), depths[place] * _ROW, span.label, span not in right_spans))
    width, height = lefts[-1], bottom + _ROW + 2 * _TEXT
    box = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    style = 'font-family="sans-serif" font-size="14" text-anchor="middle"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {style}>{"".join(parts)}</svg>'


def text_width(text: str) -> float:
    """Returns the pixels that a label needs at most, whatever sans-serif font the reader has."""
    return sum(map(_character_width, text))


def _character_width(character: str) -> float:
    if character in "mwMW@%" or ord(character) > 0x2E7F:  # from there on, writing systems with characters of full width
        return _WIDE
    if character in "iljI.,:;'|!()[]":
        return _NARROW
    return _CAPITAL if character.isupper() else _USUAL


def _depths(constituents: Sequence[Span]) -> list[int]:
    """Returns the depth of each constituent: the number of constituents around it. They come in the order they are closed."""
    depths = [0] * len(constituents)
    for place in range(len(constituents) - 2, -1, -1):
        depths[place] = depths[_parent(place, constituents)] + 1
    return depths


def _parent(place: int, constituents: Sequence[Span]) -> int:
    """Returns the index of the innermost constituent around the one at `place`.

    That is the first one which is closed later and begins no later.
    """
    return next(i for i in range(place + 1, len(constituents)) if constituents[i].start <= constituents[place].start)


def _middle(span: Span, lefts: Sequence[float]) -> float:
    return (lefts[span.start] + lefts[span.end]) / 2


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Returns an SVG line from below one label to above another; `y1` and `y2` are the tops of the labels."""
    ends = f'x1="{x1:.1f}" y1="{y1 + _TEXT + 6:.1f}" x2="{x2:.1f}" y2="{y2 + 2:.1f}"'
    return f'<line {ends} stroke="#8a93a3"/>'


def _label(x: float, y: float, text: str, wrong: bool) -> str:
    kind = ' class="bad"' if wrong else ""
    return f'<text{kind} x="{x:.1f}" y="{y + _TEXT:.1f}">{escape(text)}</text>'
