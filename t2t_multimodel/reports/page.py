"""Pages as lists of blocks (headings, tables, cards ...), and their text as one HTML file, as Markdown, or for the terminal."""

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
    """The title of a section (level 2) or of a part of a section (level 3)."""

    text: str
    level: int = 2


class Paragraph(NamedTuple):
    """A paragraph of text; words between `backticks` are shown as code."""

    text: str


class Commands(NamedTuple):
    """Command lines, shown as one block of code."""

    lines: Sequence[str]


class Marked(NamedTuple):
    """A text as words, each with whether it is wrong; wrong words are marked."""

    words: Sequence[tuple[str, bool]]

    @property
    def text(self) -> str:
        """The text without marks."""
        return " ".join(word for word, _ in self.words)


Cell = str | Marked


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        header: the names of the columns.
        rows: the cells of each row. Cells that begin with a word of GOOD or BAD are coloured.
        anybodys: whether the cells are texts of the data, which are never coloured.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    anybodys: bool = False


class Picture(NamedTuple):
    """A picture.

    Attributes:
        name: the name of its file in a Markdown page, without the ending.
        png: the file's content.
        description: the text in place of the picture.
    """

    name: str
    png: bytes
    description: str


class Drawing(NamedTuple):
    """A drawing.

    Attributes:
        name: the name of its file in a Markdown page, without the ending.
        svg: the SVG element.
        description: the text in place of the drawing.
    """

    name: str
    svg: str
    description: str


class Card(NamedTuple):
    """An example: its pictures, its sound if it has one, and lines of text.

    Attributes:
        pictures: the pictures and drawings.
        lines: pairs of a name and a text.
        wav: the content of a WAV file; b"" for no sound.
        title: the card's title; "" for none.
        right: whether the model's output is right; None if there is no output.
        name: the name of the sound's file in a Markdown page, without the ending.
    """

    pictures: Sequence[Picture | Drawing]
    lines: Sequence[tuple[str, Cell]]
    wav: bytes = b""
    title: str = ""
    right: bool | None = None
    name: str = ""


class Cards(NamedTuple):
    """Several cards; a `strip` shows them smaller, in one row if there is room."""

    cards: Sequence[Card]
    strip: bool = False


class Fold(NamedTuple):
    """Blocks that are shown when their summary is clicked."""

    summary: str
    blocks: Sequence[Block]


Block = Heading | Paragraph | Commands | Table | Picture | Drawing | Cards | Fold


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Returns the page as HTML, with all pictures and sounds inside."""
    body = "\n".join(map(_html, blocks))
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">\n{viewport}\n<title>{escape(title)}</title>'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n<style>{CSS}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def to_markdown(title: str, blocks: Sequence[Block], folder: str) -> tuple[str, dict[str, bytes]]:
    """Returns the page as Markdown, and the contents of the files that it shows, by their names in `folder`."""
    files = dict(_files(blocks))
    return "\n\n".join([f"# {title}", *(_markdown(block, folder) for block in blocks)]) + "\n", files


def to_text(table: Table) -> str:
    """Returns a table as lines of text, its columns aligned."""
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
    """Returns `text` on one line, with Markdown's special characters escaped."""
    return re.sub(r"([\\|<>*\[\]])", r"\\\1", " ".join(text.split()))
