"""216 files of every kind, each damaged at random in one of ten ways: each is read, or refused by a line that names it.

All of it is slow; test_damaged_data.py has chosen damage and is quick.
"""

import json
import random
import shutil
import types

import pytest
import random_damage
import registries
import small_run

from t2t_multimodel.cli import datagen, decoder
from t2t_multimodel.problem import problems

pytestmark = pytest.mark.slow
COUNT, SEED = 216, 1
LISTS = {"pictures": random_damage.PICTURES, "sounds": random_damage.SOUNDS}
# Nobody can take such a file for a whole picture or recording.
NEVER_READ = ("cut", "no bytes", "noise", "a page of the web")
TOML = """
[problems.pictures]
kind = "image_captions"
train = "pictures.tsv"
dev = "whole_pictures.tsv"
target_space = "to_english"

[problems.sounds]
kind = "speech_manifest"
train = "sounds.tsv"
dev = "whole_sounds.tsv"
target_space = "to_english"
sample_rate = 1000

[problems.whole]
kind = "text_pairs"
train = "whole.tsv"
dev = "whole.tsv"
target_space = "to_german"
"""
PAIRS = '[problems.p{}]\nkind = "text_pairs"\ntrain = {}\ndev = "whole.tsv"\ntarget_space = "to_german"\n'
TREES = '[problems.p{}]\nkind = "treebank_files"\ntrain = "{}"\ndev = "whole.mrg"\n'


def number_of(file):
    return file.name.partition(".")[0]


def write(folder, files):
    """Writes damaged files, whole ones, the lists and a problem file: a problem per damaged text, one for all files of a list."""
    rng = random.Random(0)
    whole = {f"whole.{kind}": random_damage.WHOLE[kind](rng) for kind in ("en", "tsv", "mrg", "jpg", "wav")}
    for name, content in [*whole.items(), *((file.name, file.content) for file in files)]:
        (folder / name).write_bytes(content)
    for name, kinds in LISTS.items():
        (folder / f"{name}.tsv").write_text("".join(f"{file.name}\ta word\n" for file in files if file.kind in kinds))
        (folder / f"whole_{name}.tsv").write_text(f"whole.{'jpg' if name == 'pictures' else 'wav'}\ta word\n")
    described = [TOML]
    for file in files:
        if file.kind in ("en", "en.gz"):
            described.append(PAIRS.format(number_of(file), f'{{inputs = "{file.name}", targets = "whole.en"}}'))
        elif file.kind in random_damage.TEXTS:
            described.append(PAIRS.format(number_of(file), f'"{file.name}"'))
        elif file.kind in random_damage.TREES:
            described.append(TREES.format(number_of(file), file.name))
    (folder / "problems.toml").write_text("\n".join(described))


def run_datagen(folder, *flags):
    with registries.as_before(problems):
        return datagen.main(
            [f"--problem_file={folder / 'problems.toml'}", f"--data_dir={folder / 'data'}", "--vocab_size=400", *flags]
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Damaged files, and what mm-datagen did with them: `refused` are the names of the pictures and sounds that it skipped."""
    folder = tmp_path_factory.mktemp("damaged")
    files = random_damage.files(COUNT, SEED)
    write(folder, files)
    with pytest.MonkeyPatch.context() as patch, (folder / "said.txt").open("w") as said:
        patch.setattr("sys.stderr", said)
        code = run_datagen(folder, "--num_shards=1", "--on_error=skip")
    lines = (folder / "said.txt").read_text().splitlines()
    skipped = "".join((folder / f"data/{name}-train-skipped.txt").read_text() for name in LISTS)
    refused = {file.name for file in files if file.name in skipped}
    return types.SimpleNamespace(folder=folder, files=files, lines=lines, code=code, skipped=skipped, refused=refused)


def entry(made, name):
    """Returns what the manifest says of a problem's train split; None if the problem was not made."""
    path = made.folder / f"data/{name}.json"
    return json.loads(path.read_text())["splits"]["train"] if path.exists() else None


def test_a_text_is_read_line_by_line_or_named(made):
    texts = [file for file in made.files if file.kind in random_damage.TEXTS | random_damage.TREES]
    not_made = 0
    for file in texts:
        found = entry(made, f"p{number_of(file)}")
        if found is None:
            not_made += 1
            (line,) = (line for line in made.lines if line.startswith(f"p{number_of(file)}: not made, because "))
            assert file.name in line, line
        elif file.kind != "en.gz":
            lines = [line for line in file.content.split(b"\n") if line.strip()]
            left_out = sum(found["left_out"].values())
            counted = found["examples"] + found["skipped"] + left_out
            assert counted == len(lines) or (file.kind == "mrg" and counted > len(lines)), (file, found)  # two trees on a line
            assert found["examples"] >= len(file.whole_lines), (file, found)
    assert made.code == (2 if not_made else 0) and not any("Traceback" in line for line in made.lines)
    assert made.lines[-1].startswith(f"mm-datagen: error: {not_made} of {len(texts) + 3} problems could not be made")


@pytest.mark.parametrize("name", LISTS)
def test_a_picture_or_sound_is_read_or_named_and_counted(made, name):
    files = [file for file in made.files if file.kind in LISTS[name]]
    refused = made.refused & {file.name for file in files}
    found = entry(made, name)
    assert (found["examples"], found["skipped"]) == (len(files) - len(refused), len(refused))
    assert all(made.skipped.count(file) == 1 for file in refused)
    assert {file.name for file in files if file.way in NEVER_READ} <= refused


def decoded(made, tmp_path, problem, content):
    """Returns the outputs that mm-decoder writes for the lines of a file, and its exit code."""
    run_dir = small_run.make(tmp_path)
    source = made.folder / "to_decode"
    source.write_bytes(content)
    flags = [f"--decode_from_file={source}", f"--decode_to_file={tmp_path / 'out'}", "--output_format=jsonl", "--beam_size=1"]
    code = decoder.main([f"--output_dir={run_dir}", f"--problems={problem}", *flags])
    rows = [json.loads(line) for line in (tmp_path / "out").read_bytes().removesuffix(b"\n").split(b"\n")]
    return [row["outputs"] for row in rows], code


@pytest.mark.parametrize(("name", "problem"), [("pictures", "caption"), ("sounds", "speech")])
def test_the_decoder_refuses_what_datagen_refuses(made, tmp_path, capsys, name, problem):
    files = [file.name for file in made.files if file.kind in LISTS[name]]
    outputs, code = decoded(made, tmp_path, problem, "".join(f"{file}\n" for file in files).encode())
    refused = {file for file, output in zip(files, outputs, strict=True) if not output}
    assert refused == made.refused & set(files) and code == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert all(f"line {files.index(file) + 1}: " in said for file in sorted(refused)[:3])


@pytest.mark.parametrize(("kinds", "problem"), [(random_damage.TEXTS, "ende"), (random_damage.TREES, "parse")])
def test_the_decoder_answers_each_line_of_damaged_text(made, tmp_path, capsys, kinds, problem):
    lines = [line for file in made.files if file.kind in kinds for line in file.content.split(b"\n")]
    outputs, _ = decoded(made, tmp_path, problem, b"\n".join([*lines, b"a dog"]))
    assert len(outputs) == len(lines) + 1 and outputs[-1]
    assert "Traceback" not in capsys.readouterr().err


def test_damaged_records_are_named_and_made_again(made, tmp_path, capsys):
    """--inspect reads every record of a shard that is damaged in each of the ways; --verify makes the whole one again."""
    shard = "whole-train-00000-of-00001.tfrecord"
    content = (made.folder / "data" / shard).read_bytes()
    shutil.copytree(made.folder, tmp_path / "copy")
    damaged = tmp_path / "copy" / "data" / shard
    for way in ("cut", "bits flipped", "a block of zeros", "a block of noise", "no bytes", "a page of the web"):
        for seed in range(2):
            damaged.write_bytes(random_damage.WAYS[way](content, random.Random(seed)))
            with registries.as_before(problems):
                assert datagen.main(["--inspect", f"--data_dir={damaged.parent}"]) == 2, way
            error = capsys.readouterr().err.splitlines()[-1]
            assert error.startswith("mm-datagen: error: ") and "whole" in error and "mm-datagen --problems=whole" in error
            assert run_datagen(tmp_path / "copy", "--num_shards=1", "--verify", "--problems=whole") == 0
            assert f"whole: made again, because {shard} is not as its manifest says" in capsys.readouterr().err
            assert damaged.read_bytes() == content
