"""The commands of examples/own_data's tutorial are run in order, on little data and with a tiny model."""

import re
import shlex
import subprocess

import own_files
import pytest
import registries

from t2t_multimodel.cli import common, datagen, decoder, trainer
from t2t_multimodel.problem import problems
from t2t_multimodel.runs.run_config import RunConfig

COMMANDS = {"mm-datagen": datagen.main, "mm-trainer": trainer.main, "mm-decoder": decoder.main}
TINY = (
    "hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=2,moe_k=1,moe_hidden_size=16,"
    "image_channels=4:8,categorical_sizes=16:16,audio_blocks=1,mel_bins=4,max_length=24,batch_tokens=256,batch_images=4"
)
# Classes and texts: every further kind of input takes seconds to trace, and test_own_data.py in tests/problems reads all kinds.
TRAINED = "my_translation,my_translation_rev,my_classes,my_trees"
# Appended to the tutorial's commands to make them quick.
QUICK = {"mm-datagen": [], "mm-trainer": ["--eval_steps=1"], "mm-decoder": ["--beam_size=1"]}


@pytest.fixture
def folder(root, tmp_path, monkeypatch):
    """The current directory with a copy of the example and data for it; afterwards the registry is restored."""
    for path in (root / "examples" / "own_data").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(own_files.write(tmp_path))
    common.load_registries()
    with registries.as_before(problems):
        yield tmp_path


def commands(folder):
    """Returns the commands of the tutorial's blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def run(line):
    name, *flags = shlex.split(line)
    if name not in COMMANDS:
        return subprocess.run(line, shell=True, check=False).returncode
    if "--hparams_set=multimodel_tiny" in flags:
        flags += [f"--hparams={TINY}", "--train_steps=4", f"--problems={TRAINED}"]
    return COMMANDS[name]([*flags, *QUICK[name]])


def test_every_command_of_the_tutorial_does_what_it_says(folder, capsys):
    lines = commands(folder)
    assert len(lines) >= 6 and {shlex.split(line)[0] for line in lines} == {*COMMANDS, "echo"}
    for line in lines:
        assert run(line) == 0, f"{line}\n{capsys.readouterr().err}"
    shown = capsys.readouterr().out
    assert "my_classes: image 32x32 -> label (its own classes) (to_class)" in shown
    assert re.search(r"^my_translation +train +70 ", shown, re.MULTILINE)
    assert re.search(r"^my_trees dev step 4: .*parse_f1", shown, re.MULTILINE)
    specs = {spec.name: spec for spec in RunConfig.load(folder / "run").problems}
    assert specs["my_classes"].targets.classes == ("blue", "green", "red")
    assert len((folder / "output.txt").read_text().splitlines()) == 1


def test_the_tutorial_names_every_key_and_every_kind(folder):
    from t2t_multimodel.data.problem_file.schema import COMMON, KINDS

    table = (folder / "README.md").read_text().partition("## The keys")[2]
    named = set(re.findall(r"`(\w+)`", table))
    assert {*KINDS, *COMMON, *(key for kind in KINDS.values() for key in kind.keys)} <= named


def test_a_mistake_in_the_file_is_one_line_and_code_2(folder, capsys):
    path = folder / "problems.toml"
    path.write_text(path.read_text().replace("sample_rate", "samplerate"))
    for command in COMMANDS.values():
        assert command(["--problem_file=problems.toml", "--problems=my_speech"]) == 2
        error = capsys.readouterr().err
        assert "error: problems.toml, problems.my_speech: unknown key 'samplerate'; did you mean sample_rate?\n" in error
        assert error.count("\n") == 1
