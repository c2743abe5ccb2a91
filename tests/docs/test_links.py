"""The pages' links lead to existing files and headings, and the files and folders that they name exist."""

import re

import pages
import pytest

# Folders whose files the pages name by path; architecture.md and departures.md leave out t2t_multimodel/.
PACKAGE = pages.ROOT / "t2t_multimodel"
TOPS = {path.name for path in [*pages.ROOT.iterdir(), *PACKAGE.iterdir()] if path.is_dir() and not path.name.startswith(".")}
MADE = re.compile(r"data/(?!\w+/?[\w/]*\.py)")  # files that commands write to a folder called data
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:md|toml)")


@pytest.mark.parametrize("name", pages.NAMES)
def test_links_lead_somewhere(name):
    page = pages.ROOT / name
    for target, heading in pages.links(page):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name} links to {target}"
        assert not heading or heading in pages.headings(file), f"{name} links to {target}#{heading}"


@pytest.mark.parametrize("name", pages.NAMES)
def test_named_files_exist(name):
    for span in pages.code_spans(pages.ROOT / name):
        for path in re.findall(PATH, span):
            if (
                path.split("/")[0] in TOPS
                and not MADE.match(path)
                and "/" in path
                and re.search(r"/$|\.(?:py|md|sh|txt|json|toml)$", path)
            ):
                assert any((folder / path).exists() for folder in (pages.ROOT, PACKAGE)), f"{name} names {path}"


def test_every_page_is_in_readmes_list():
    listed = {target for target, _ in pages.links(pages.ROOT / "README.md")}
    assert {name for name in pages.NAMES if name != "README.md"} <= listed
