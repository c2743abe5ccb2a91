"""A page made of a few kinds of blocks, written as one HTML file and as Markdown with the same content."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d8dee8; padding-bottom: .3rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #e6eaf0; }
th { background: #f3f5f9; } td { overflow-wrap: anywhere; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
td.name { white-space: nowrap; overflow-wrap: normal; }
td.good, td.bad { font-weight: 600; white-space: nowrap; overflow-wrap: normal; }
.good { color: #11693a; } .bad { color: #a3320b; }
code { background: #f3f5f9; padding: 0 .2rem; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; }
.card { box-sizing: border-box; flex: 0 1 235px; border: 1px solid #e6eaf0; border-radius: 8px; padding: .8rem; }
.card.sound { flex-basis: 515px; } .card dl { font-size: .9rem; margin: .6rem 0 0; }
.card dt { color: #667085; font-size: .8rem; } .card dd { margin: 0 0 .3rem; } audio { width: 100%; height: 32px; }
"""
GOOD, BAD = ("reached", "right"), ("not yet", "wrong")
_NUMBER = re.compile(r"[-\d.,]+")
_NAME = re.compile(r"[a-z]+(_[a-z0-9]+)+")


class Heading(NamedTuple):
    """The title of a section, or at level 3 of a part of one."""

    text: str
    level: int = 2


class Paragraph(NamedTuple):
    """Running text; what is between `backticks` is code."""

    text: str


class Table(NamedTuple):
    """Texts in rows; a cell that begins with a word of GOOD or BAD stands out, unless the cells are anybody's texts."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    anybodys: bool = False


class Picture(NamedTuple):
    """A PNG, the name of its file without ending, and what it shows."""

    name: str
    png: bytes
    description: str


class Card(NamedTuple):
    """A picture, maybe its sound (WAV), and named lines of text beside them."""

    picture: Picture
    lines: Sequence[tuple[str, str]]
    wav: bytes = b""


class Cards(NamedTuple):
    """Several of them."""

    cards: Sequence[Card]


Block = Heading | Paragraph | Table | Picture | Cards


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """The page as one file that needs no other: pictures and sounds are inside."""
    body = "\n".join(map(_html, blocks))
    head = f'<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n<style>{CSS}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def to_markdown(title: str, blocks: Sequence[Block], folder: str) -> tuple[str, dict[str, bytes]]:
    """The page, and the files it shows, by their names in `folder`."""
    files = {}
    for block in blocks:
        for picture in [block] if isinstance(block, Picture) else _pictures(block):
            files[f"{picture.name}.png"] = picture.png
        for card in block.cards if isinstance(block, Cards) else ():
            if card.wav:
                files[f"{card.picture.name}.wav"] = card.wav
    return "\n\n".join([f"# {title}", *(_markdown(block, folder) for block in blocks)]) + "\n", files


def to_text(table: Table) -> str:
    """A table for the terminal."""
    rows = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _pictures(block: Block) -> list[Picture]:
    return [card.picture for card in block.cards] if isinstance(block, Cards) else []


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Paragraph(text):
            return "<p>" + re.sub("`([^`]+)`", r"<code>\1</code>", escape(text)) + "</p>"
        case Table(header, rows, anybodys):
            head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
            cell_of = _html_plain_cell if anybodys else _html_cell
            body = "\n".join(f"<tr>{''.join(map(cell_of, row))}</tr>" for row in rows)
            return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'
        case Picture():
            return f"<figure>{_html_image(block)}</figure>"
    cards = "\n".join(map(_html_card, block.cards))
    return f'<div class="cards">\n{cards}\n</div>'


def _html_cell(text: str) -> str:
    kinds = [("good", text.startswith(GOOD)), ("bad", text.startswith(BAD))]
    kinds += [("number", bool(_NUMBER.fullmatch(text))), ("name", bool(_NAME.fullmatch(text)))]
    name = next((name for name, holds in kinds if holds), "")
    return f'<td class="{name}">{escape(text)}</td>' if name else _html_plain_cell(text)


def _html_plain_cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _html_image(picture: Picture) -> str:
    return f'<img alt="{escape(picture.description)}" src="{_data_uri(picture.png, "image/png")}">'


def _html_card(card: Card) -> str:
    sound = f'<audio controls src="{_data_uri(card.wav, "audio/wav")}"></audio>' if card.wav else ""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in card.lines)
    kind = "card sound" if card.wav else "card"
    return f'<div class="{kind}">{_html_image(card.picture)}{sound}<dl>{lines}</dl></div>'


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _markdown(block: Block, folder: str) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return _plain(text)
        case Table(header, rows, _):
            return "\n".join([_markdown_row(header), _markdown_row(["---"] * len(header)), *map(_markdown_row, rows)])
        case Picture():
            return _markdown_image(block, folder)
    return "\n\n".join(_markdown_card(card, folder) for card in block.cards)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _markdown_image(picture: Picture, folder: str) -> str:
    return f"![{picture.description}]({folder}/{picture.name}.png)"


def _markdown_card(card: Card, folder: str) -> str:
    lines = [f"- {name}: {_plain(text)}" for name, text in card.lines]
    sound = [f"- [listen]({folder}/{card.picture.name}.wav)"] if card.wav else []
    return "\n".join([_markdown_image(card.picture, folder), "", *lines, *sound])


def _plain(text: str) -> str:
    """`text` with the signs escaped that Markdown would take for its own."""
    return re.sub(r"([\\|<>*\[\]])", r"\\\1", " ".join(text.split()))
