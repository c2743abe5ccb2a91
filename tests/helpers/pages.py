"""Reads the pages of the documentation: their fenced blocks, the command lines in these, and their links."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "examples/*/README.md")
    for path in ROOT.glob(pattern)
)
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
COMMAND = re.compile(r"(?:\S+='[^']*' )?(mm-\w+ .*)")


def blocks(path, language):
    """Returns the texts of a page's fenced blocks of a language; "" stands for blocks that name none."""
    return blocks_of(path.read_text(), language)


def blocks_of(text, language):
    """Returns the texts of the fenced blocks of a language in a Markdown text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(block):
    """Returns a block's lines; a line that ends with a backslash is joined with the next one."""
    return block.replace("\\\n", " ").splitlines()


def command_lines(path):
    """Returns the mm- commands in a page's fenced blocks: ["mm-datagen --problems=mini8 ...", ...]."""
    block_texts = [*blocks(path, ""), *blocks(path, "sh")]
    found = [COMMAND.fullmatch(line.removeprefix("$ ")) for block in block_texts for line in lines(block)]
    return [match[1] for match in found if match]


def code_spans(path):
    """Returns the texts between backticks outside of fenced blocks, with blanks in place of line breaks."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]


def links(path):
    """Returns the targets of a page's links inside the repository: (file, heading or "")."""
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    return [target.partition("#")[::2] for target in targets if "://" not in target]


def headings(path):
    """Returns the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
