"""mm-datagen names each of two hundred damaged inputs, keeps all good ones, and writes nothing outside of its folder."""

import dataclasses
import hashlib
import io
import sys
import tempfile
import types
from collections import Counter

import damaged
import pytest
import tensorflow as tf

import t2t_multimodel.problems  # noqa: F401  (registers them)
from t2t_multimodel.cli import datagen
from t2t_multimodel.data import records
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.problem import Problem, problems


def elsewhere(folder, problem, name):
    """Returns `problem` under another name, with its data in a folder of its own."""
    found = dataclasses.replace(problem, name=name, generate=lambda split, tmp_dir: problem.generate(split, folder))
    return dataclasses.replace(found, check=Problem.check)


def write(folder, damage):
    """Writes all data; returns problems with the items to be named, and problems with a file that cannot be read and its name."""
    own = folder / "own"
    own.mkdir(parents=True)
    (own / "problems.toml").write_text(damaged.TOML)
    described = {problem.name: problem for problem in read_problem_file(own / "problems.toml")}
    items = [(described[layout.__name__], layout(own, damage)) for layout in damaged.OWN]
    for name, layout in {**damaged.LAYOUTS, "packed_imagenet": damaged.packed_imagenet}.items():
        problem = problems.get("image_imagenet" if name == "packed_imagenet" else name)
        (folder / name).mkdir()
        items.append((elsewhere(folder / name, problem, f"d_{name}"), layout(folder / name, damage)))
    return items, list(containers(folder)) if damage else []


def containers(folder):
    for name, (layout, files) in damaged.CONTAINERS.items():
        layout(folder / "whole" / name, True)
        for file in files:
            for kind, content in damaged.containers(folder / "whole" / name / file).items():
                place = folder / f"{name}-{file}-{kind}"
                layout(place, True)
                (place / file).write_bytes(content)
                yield (
                    elsewhere(place, problems.get(name), "_".join(("c", name, file.replace(".", "_").replace("-", "_"), kind))),
                    file,
                )


def run(chosen, data_dir, *flags):
    with problems.temporary(**{problem.name: problem for problem in chosen}):
        names = ",".join(problem.name for problem in chosen)
        return datagen.main([f"--problems={names}", f"--data_dir={data_dir}", "--vocab_size=400", "--num_shards=1", *flags])


def contents(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def examples(data_dir, name):
    manifest = records.read_manifest(data_dir, name)
    return {
        split: Counter(tf.data.TFRecordDataset(records.shard_paths(data_dir, name, split)).as_numpy_iterator())
        for split in manifest["splits"]
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Records of good data in `good` and of the same with damage in `data`, with one vocabulary; the lines, and changed files."""
    root = tmp_path_factory.mktemp("damaged")
    good, _ = write(root / "whole", damage=False)
    assert run([problem for problem, _ in good], root / "good") == 0
    items, files = write(root / "raw", damage=True)
    (root / "cwd").mkdir()
    (root / "data").mkdir()
    (root / "data/vocabulary.model").write_bytes((root / "good/vocabulary.model").read_bytes())
    before = contents(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root / "cwd")
        patch.setattr(tempfile, "tempdir", str(root / "cwd"))
        patch.setattr(sys, "stderr", io.StringIO())
        code = run([problem for problem, _ in items + files], root / "data", "--on_error=skip")
        said = sys.stderr.getvalue()
    changed = {path for path, _ in before.items() ^ contents(root).items()}
    return types.SimpleNamespace(root=root, items=items, files=files, code=code, said=said, changed=changed)


def test_there_are_two_hundred_damaged_inputs(made):
    assert sum(len(parts) for _, parts in made.items) + len(made.files) >= 200


def test_every_damaged_example_is_named_once_and_counted(made):
    for problem, parts in made.items:
        splits = records.read_manifest(made.root / "data", problem.name)["splits"]
        for split, entry in splits.items():
            wanted = [part for where, part in parts if where == split]
            assert entry["skipped"] == len(wanted), problem.name
            listed = (made.root / "data" / entry["skipped_list"]).read_text().splitlines() if wanted else []
            assert len(listed) == len(wanted)
            unnamed = [part for part in wanted if not any(part in line for line in listed)]
            assert not unnamed, listed


def test_the_good_examples_are_all_there_and_nothing_else(made):
    for problem, _ in made.items:
        assert examples(made.root / "data", problem.name) == examples(made.root / "good", problem.name), problem.name


def test_a_problem_with_a_file_that_cannot_be_read_is_named_and_not_made(made):
    lines = made.said.splitlines()
    for problem, file in made.files:
        assert len([line for line in lines if line.startswith(f"{problem.name}: not made, because ")]) == 1
        assert [line for line in lines if problem.name in line and file in line], problem.name
        assert not list((made.root / "data").glob(f"*{problem.name}*"))
    assert made.code == 2 and "Traceback" not in made.said
    assert lines[-1].startswith(
        f"mm-datagen: error: {len(made.files)} of {len(made.items + made.files)} problems could not be made"
    )


def test_nothing_is_written_outside_of_data_dir(made):
    assert {path.relative_to(made.root).parts[0] for path in made.changed} == {"data"}


@pytest.mark.parametrize("name", ["d_pairs", "d_pictures", "d_image_mscoco_tokens_8k", "d_audio_wsj_tokens_8k"])
def test_without_skipping_one_line_names_the_first(made, tmp_path, capsys, name):
    ((problem, parts),) = ((problem, parts) for problem, parts in made.items if problem.name == name)
    (tmp_path / "vocabulary.model").write_bytes((made.root / "good/vocabulary.model").read_bytes())
    assert run([problem], tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"mm-datagen: error: {name}-") and error.endswith(" (--on_error=skip goes on without it)")
    assert any(part in error for _, part in parts)
    assert [path.name for path in tmp_path.iterdir()] == ["vocabulary.model"]
