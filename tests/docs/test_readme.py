"""README's commands (```sh blocks) are run in order, on little data, with a tiny model and two steps."""

import io
import shlex
import subprocess
import sys

import own_files
import pages
import pytest
import registries

from t2t_multimodel.cli import common, datagen, decoder, export, trainer
from t2t_multimodel.problem import problems

README = pages.ROOT / "README.md"
COMMANDS = {"mm-datagen": datagen.main, "mm-trainer": trainer.main, "mm-decoder": decoder.main, "mm-export": export.main}
TINY = (
    "hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=2,moe_k=1,moe_hidden_size=16,"
    "audio_blocks=1,mel_bins=4,max_length=24,batch_tokens=256,eval_samples=0"
)
# Appended to README's commands to make them quick. Of mini8's problems only one is made and trained: each takes seconds.
QUICK = {"mm-trainer": ["--eval_steps=1"], "mm-decoder": ["--beam_size=1"], "mm-export": ["--beam_size=1"]}
TRAINED = [f"--hparams={TINY}", "--train_steps=2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory with README's problem file and module, and data for them; afterwards the registry is restored."""
    monkeypatch.chdir(tmp_path)
    own_files.write(tmp_path / "my_texts")
    (tmp_path / "problems.toml").write_text(pages.blocks(README, "toml")[0])
    (tmp_path / "my_problems").mkdir()
    (module,) = [block for block in pages.blocks(README, "python") if block.startswith("# my_problems/__init__.py")]
    (tmp_path / "my_problems" / "__init__.py").write_text(module)
    (tmp_path / "my_recordings").mkdir()
    for n in range(8):
        (tmp_path / "my_recordings" / f"{n}.wav").write_bytes(own_files.wav(n, rate=16000))
    for split, numbers in {"train": range(6), "dev": range(6, 8)}.items():
        (tmp_path / "my_recordings" / f"{split}.tsv").write_text("".join(f"{n}.wav\tnumber {n}\n" for n in numbers))
    common.load_registries()
    with registries.as_before(problems):
        yield tmp_path


def section_lines(section):
    """Returns the commands of the blocks under a heading."""
    text = README.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [line for block in pages.blocks_of(text, "sh") for line in pages.lines(block)]


def run(line):
    name, *flags = shlex.split(line)
    if name not in COMMANDS:
        return subprocess.run(line, shell=True, check=False).returncode
    if "--problems=mini8" in flags:
        flags.append("--problems=mini_ende")
    if name == "mm-trainer" and "--schedule=evaluate" not in flags:
        flags += TRAINED
    return COMMANDS[name]([*flags, *QUICK.get(name, [])])


SECTIONS = ("Five minutes", "Your own data")
MADE = ["mini8/german.txt", "mini8/served/MODEL_CARD.md", "run/metrics.jsonl", "speech/run/metrics.jsonl"]


def test_commands_of_five_minutes(folder, monkeypatch):
    """All commands of "Five minutes" but mm-export, which tests/serving and the slow test below run."""
    run_all([line for line in section_lines("Five minutes") if not line.startswith("mm-export")], monkeypatch)
    assert (folder / MADE[0]).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of TensorFlow, when Keras saves
def test_commands_of_all_sections(folder, monkeypatch):
    run_all([line for section in SECTIONS for line in section_lines(section)], monkeypatch)
    assert [name for name in MADE if not (folder / name).exists()] == []


def run_all(lines, monkeypatch):
    assert len(lines) >= 6
    for line in lines:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A big red circle.\n")))
        assert run(line) == 0, line


def test_sections_are_all_that_have_commands():
    everything = [line for block in pages.blocks(README, "sh") for line in pages.lines(block)]
    assert everything == [line for section in SECTIONS for line in section_lines(section)]


def test_python_blocks_use_what_there_is():
    from t2t_multimodel import LoadedModel

    (block,) = [block for block in pages.blocks(README, "python") if "t2t_multimodel.load" in block]
    compile(block, "README.md", "exec")
    used = [line.split("(")[0].removeprefix("model.") for line in block.splitlines() if line.startswith("model.")]
    assert len(used) == 3 and all(callable(getattr(LoadedModel, name)) for name in used)
