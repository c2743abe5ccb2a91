"""A page made of a few kinds of blocks, written as one HTML file and as Markdown with the same content."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from t2t_multimodel.reports.style import CSS

GOOD, BAD = ("reached", "right"), ("below its goal", "wrong")
_NUMBER = re.compile(r"[-\d.,]+")
_NAME = re.compile(r"[a-z]+(_[a-z0-9]+)+")


class Heading(NamedTuple):
    """The title of a section, or at level 3 of a part of one."""

    text: str
    level: int = 2


class Paragraph(NamedTuple):
    """Running text; what is between `backticks` is code."""

    text: str


class Commands(NamedTuple):
    """Lines for a terminal."""

    lines: Sequence[str]


class Marked(NamedTuple):
    """Words of a text, each with whether it is to stand out because it is wrong."""

    words: Sequence[tuple[str, bool]]

    @property
    def text(self) -> str:
        """The text without marks."""
        return " ".join(word for word, _ in self.words)


Cell = str | Marked


class Table(NamedTuple):
    """Texts in rows; a cell that begins with a word of GOOD or BAD stands out, unless the cells are anybody's texts."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    anybodys: bool = False


class Picture(NamedTuple):
    """A PNG, the name of its file without ending, and what it shows."""

    name: str
    png: bytes
    description: str


class Drawing(NamedTuple):
    """An SVG element, the name of its file without ending, and what it shows."""

    name: str
    svg: str
    description: str


class Card(NamedTuple):
    """Pictures, maybe a sound (WAV), and named lines of text beside them.

    Attributes:
        right: whether what it shows is right; None where that is no question.
    """

    pictures: Sequence[Picture | Drawing]
    lines: Sequence[tuple[str, Cell]]
    wav: bytes = b""
    title: str = ""
    right: bool | None = None
    name: str = ""


class Cards(NamedTuple):
    """Several cards; a strip shows them side by side."""

    cards: Sequence[Card]
    strip: bool = False


class Fold(NamedTuple):
    """Blocks that are shown when their summary is clicked."""

    summary: str
    blocks: Sequence[Block]


Block = Heading | Paragraph | Commands | Table | Picture | Drawing | Cards | Fold


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """The page as one file that needs no other: pictures and sounds are inside."""
    body = "\n".join(map(_html, blocks))
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">\n{viewport}\n<title>{escape(title)}</title>'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n<style>{CSS}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def to_markdown(title: str, blocks: Sequence[Block], folder: str) -> tuple[str, dict[str, bytes]]:
    """The page, and the files it shows, by their names in `folder`."""
    files = dict(_files(blocks))
    return "\n\n".join([f"# {title}", *(_markdown(block, folder) for block in blocks)]) + "\n", files


def to_text(table: Table) -> str:
    """A table for the terminal."""
    rows = [[cell if isinstance(cell, str) else cell.text for cell in row] for row in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _files(blocks: Sequence[Block]) -> Iterator[tuple[str, bytes]]:
    for block in blocks:
        if isinstance(block, Fold):
            yield from _files(block.blocks)
        for card in block.cards if isinstance(block, Cards) else ():
            yield from _files(card.pictures)
            if card.wav:
                yield f"{card.name}.wav", card.wav
        if isinstance(block, (Picture, Drawing)):
            yield _file_name(block), block.png if isinstance(block, Picture) else block.svg.encode()


def _file_name(picture: Picture | Drawing) -> str:
    return f"{picture.name}.{'png' if isinstance(picture, Picture) else 'svg'}"


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Paragraph(text):
            return "<p>" + re.sub("`([^`]+)`", r"<code>\1</code>", escape(text)) + "</p>"
        case Commands(lines):
            return "<pre>" + escape("\n".join(lines)) + "</pre>"
        case Table():
            return _html_table(block)
        case Picture() | Drawing():
            return f"<figure>{_html_image(block)}</figure>"
        case Fold(summary, blocks):
            inside = "\n".join(map(_html, blocks))
            return f"<details><summary>{escape(summary)}</summary>\n{inside}\n</details>"
    cards = "\n".join(map(_html_card, block.cards))
    return f'<div class="cards{" strip" if block.strip else ""}">\n{cards}\n</div>'


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = []
    for row in table.rows:
        cells = zip(table.header, row, strict=True)
        rows.append("<tr>" + "".join(_html_cell(label, cell, table.anybodys) for label, cell in cells) + "</tr>")
    body = "\n".join(rows)
    return f'<div class="wide"><table class="rows">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _html_cell(label: str, cell: Cell, anybodys: bool) -> str:
    name = "" if anybodys or not isinstance(cell, str) else _kind(cell)
    kind = f' class="{name}"' if name else ""
    return f'<td{kind} data-label="{escape(label)}">{_html_text(cell)}</td>'


def _kind(text: str) -> str:
    kinds = [("good", text.startswith(GOOD)), ("bad", text.startswith(BAD))]
    kinds += [("number", bool(_NUMBER.fullmatch(text))), ("name", bool(_NAME.fullmatch(text)))]
    return next((name for name, holds in kinds if holds), "")


def _html_text(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    return " ".join(f'<b class="bad">{escape(word)}</b>' if wrong else escape(word) for word, wrong in cell.words)


def _html_image(picture: Picture | Drawing) -> str:
    if isinstance(picture, Drawing):
        return f'<div class="drawing" role="img" aria-label="{escape(picture.description)}">{picture.svg}</div>'
    return f'<img alt="{escape(picture.description)}" src="{_data_uri(picture.png, "image/png")}">'


def _html_card(card: Card) -> str:
    title = f"<h4>{escape(card.title)}</h4>" if card.title else ""
    sound = f'<audio controls src="{_data_uri(card.wav, "audio/wav")}"></audio>' if card.wav else ""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{_html_text(text)}</dd>" for name, text in card.lines)
    drawn = any(isinstance(picture, Drawing) for picture in card.pictures)
    kinds = ["card", "sound" * bool(card.wav), "drawn" * drawn]
    kinds.append("" if card.right is None else "right" if card.right else "wrong")
    images = "".join(map(_html_image, card.pictures))
    return f'<div class="{" ".join(filter(None, kinds))}">{title}{images}{sound}<dl>{lines}</dl></div>'


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _markdown(block: Block, folder: str) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return _plain(text)
        case Commands(lines):
            return "\n".join(["```", *lines, "```"])
        case Table(header, rows, _):
            return "\n".join([_markdown_row(header), _markdown_row(["---"] * len(header)), *map(_markdown_row, rows)])
        case Picture() | Drawing():
            return _markdown_image(block, folder)
        case Fold(summary, blocks):
            return "\n\n".join([f"**{summary}**", *(_markdown(each, folder) for each in blocks)])
    return "\n\n".join(_markdown_card(card, folder) for card in block.cards)


def _markdown_row(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(map(_markdown_text, cells))} |"


def _markdown_text(cell: Cell) -> str:
    if isinstance(cell, str):
        return _plain(cell)
    return " ".join(f"**{_plain(word)}**" if wrong else _plain(word) for word, wrong in cell.words)


def _markdown_image(picture: Picture | Drawing, folder: str) -> str:
    return f"![{_plain(picture.description)}]({folder}/{_file_name(picture)})"


def _markdown_card(card: Card, folder: str) -> str:
    title = [f"**{_plain(card.title)}**", ""] if card.title else []
    lines = [f"- {name}: {_markdown_text(text)}" for name, text in card.lines]
    sound = [f"- [listen]({folder}/{card.name}.wav)"] if card.wav else []
    images = [line for picture in card.pictures for line in (_markdown_image(picture, folder), "")]
    return "\n".join([*title, *images, *lines, *sound])


def _plain(text: str) -> str:
    """`text` with the signs escaped that Markdown would take for its own."""
    return re.sub(r"([\\|<>*\[\]])", r"\\\1", " ".join(text.split()))
