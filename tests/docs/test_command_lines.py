"""The commands' own parsers accept every command line on the pages, and every flag that a page names exists."""

import json
import os
import re
import subprocess
import sys

import pages
import pytest

# Flags of other programs on the pages.
FOREIGN = {
    *("bos_id", "byte_fallback", "eos_id", "normalization_rule_name", "pad_id", "unk_id"),  # spm_train
    *("batch", "d", "lr", "save"),  # the script that benchmarks/quality.py was run with
    *("corpora", "flink_master", "logdir", "flag", "noflag", "parallelism"),
}


@pytest.fixture
def user_folder(tmp_path):
    """A folder with the examples, and with the problem file and the module that README shows."""
    readme = pages.ROOT / "README.md"
    (tmp_path / "examples").symlink_to(pages.ROOT / "examples")
    (tmp_path / "problems.toml").write_text(pages.blocks(readme, "toml")[0])
    (tmp_path / "my_problems").mkdir()
    modules = [block for block in pages.blocks(readme, "python") if block.startswith("# my_problems/__init__.py")]
    (tmp_path / "my_problems" / "__init__.py").write_text(modules[0])
    return tmp_path


def test_command_lines_are_parsed(user_folder):
    found = []
    for page in pages.PAGES:
        folder = page.parent if (page.parent / "problems.toml").exists() else user_folder
        found += [(str(page.relative_to(pages.ROOT)), str(folder), line) for line in pages.command_lines(page)]
    assert len(found) >= 30
    complete = [(page, folder, line) for page, folder, line in found if not re.search(r" \.\.\.( |$)|[=,]NAME\b", line)]
    done = subprocess.run(
        [sys.executable, str(pages.ROOT / "tests" / "helpers" / "parse_commands.py")],
        input=json.dumps([item[1:] for item in complete]),
        env={**os.environ, "DATA": "data", "RUN": "run"},
        capture_output=True,
        text=True,
        check=True,
    )
    complaints = json.loads(done.stdout)
    assert [(item, said) for item, said in zip(complete, complaints, strict=True) if said] == []


@pytest.mark.parametrize("name", pages.NAMES)
def test_flags_exist(name, flags_of):
    """A flag after a command's name is a flag of that command; a flag alone is a flag of any command."""
    benchmarks = "".join(path.read_text() for path in (pages.ROOT / "benchmarks").glob("*.py"))
    known = set().union(*flags_of.values(), re.findall(r'"--(\w+)', benchmarks)) | FOREIGN
    for span in [*pages.code_spans(pages.ROOT / name), *pages.command_lines(pages.ROOT / name)]:
        program = re.match(r"(?:\w+=\S+ )*(mm-\w+|python \S+\.py)", span)
        own = known
        if program and program[1].startswith("python "):
            own = set(re.findall(r'"--(\w+)', (pages.ROOT / program[1].split()[1]).read_text())) | FOREIGN
        elif program:
            own = flags_of[program[1]] | FOREIGN
        used = re.findall(r"(?<![\w-])--([a-z]\w*)", span)
        assert [flag for flag in used if flag not in own] == [], span


@pytest.fixture(scope="module")
def flags_of():
    """By command, its flags."""
    return {path.name: command_flags(path.name) for path in (pages.ROOT / "bin").iterdir()}


def command_flags(command):
    """Returns the names of the flags in a command's --helpfull, with "noxla" for "xla" and so on."""
    done = subprocess.run(
        [sys.executable, str(pages.ROOT / "bin" / command), "--helpfull"], capture_output=True, text=True, check=True
    )
    found = re.findall(r"^  (?:-\w, )?--(\[no\])?(\w+)$", done.stdout, re.MULTILINE)
    return {name for _, name in found} | {f"no{name}" for no, name in found if no}
