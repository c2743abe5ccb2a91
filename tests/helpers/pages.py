"""The documentation's pages: their blocks, the command lines in them, and what they link to."""

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
    """The texts of a page's fenced blocks of a language ("" for those that name none)."""
    return blocks_of(path.read_text(), language)


def blocks_of(text, language):
    """The texts of the fenced blocks of a language in some Markdown."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(block):
    """A block's lines, those that end with a backslash joined with the next one."""
    return block.replace("\\\n", " ").splitlines()


def command_lines(path):
    """The mm- commands in a page's fenced blocks: ["mm-datagen --problems=mini8 ...", ...]."""
    block_texts = [*blocks(path, ""), *blocks(path, "sh")]
    found = [COMMAND.fullmatch(line.removeprefix("$ ")) for block in block_texts for line in lines(block)]
    return [match[1] for match in found if match]


def code_spans(path):
    """The texts between backticks outside of fenced blocks, their line breaks blanks."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]


def links(path):
    """The targets of a page's links that stay in the repository: (file, heading or "")."""
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    return [target.partition("#")[::2] for target in targets if "://" not in target]


def headings(path):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
