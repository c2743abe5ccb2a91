"""Data of every kind that a problem file describes is read; damaged and missing items are named."""

import codecs
import shutil
from collections import Counter
from pathlib import Path

import own_files
import pytest

from t2t_multimodel.data import records
from t2t_multimodel.data.generation.encode import check_example
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.utils.errors import DataError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "own_data" / "problems.toml"
PAIRS = '[problems.mine]\nkind = "text_pairs"\ntarget_space = "to_german"\n'
SPEECH = '[problems.mine]\nkind = "speech_manifest"\ntarget_space = "to_english"\ntrain = "recordings.tsv"\n'
FOLDER = '[problems.mine]\nkind = "image_folder"\n'


@pytest.fixture
def folder(tmp_path):
    """A folder with examples/own_data's problem file and data for it."""
    shutil.copy(EXAMPLE, tmp_path)
    return own_files.write(tmp_path)


def problem(folder, text=None, name="mine"):
    path = folder / "problems.toml"
    if text is not None:
        path.write_text(text)
    return next(found for found in read_problem_file(path) if found.name == name)


def read(made, split="train", tmp_dir=Path("elsewhere")):
    return list(made.generate(split, tmp_dir))


def names(examples):
    return [example["origin"] for example in examples]


def test_every_kind_makes_records_with_one_process_or_two(folder):
    def make(data_dir, workers):
        return generate(read_problem_file(folder / "problems.toml"), data_dir, folder, 400, 1, num_workers=workers, report=str)

    manifests = make(folder / "one", 1)
    found = {name: {split: entry["examples"] for split, entry in made["splits"].items()} for name, made in manifests.items()}
    assert found.pop("my_translation") == {"train": 70, "dev": 10}
    assert found.pop("my_captions") == {"train": 9, "dev": 1}
    assert found.pop("my_trees") == {"train": 35, "dev": 5}
    assert sum(found.pop("my_classes").values()) == 24 and sum(found.pop("my_speech").values()) == 20 and not found
    assert manifests["my_classes"]["targets"]["classes"] == ["blue", "green", "red"]
    assert [made["splits"] for made in make(folder / "two", 2).values()] == [made["splits"] for made in manifests.values()]


def test_files_are_those_of_tmp_dir_or_lie_beside_the_problem_file(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "train.en").write_bytes(b"Elsewhere.\n" * 70)
    found = read(problem(folder, name="my_translation"), tmp_dir=other)
    assert {example["inputs"] for example in found} == {"Elsewhere."}
    assert found[0]["targets"].startswith("Der Hund sieht den ")


def test_pairs_are_read_from_two_files_a_list_and_json(folder):
    pairs = read(
        problem(folder, PAIRS + 'train = {inputs = "train.en", targets = "train.de"}\ndev = {inputs="dev.en", targets="dev.de"}')
    )
    assert len(pairs) == 70
    lines = [f"{pair['inputs']}\t{pair['targets']}\n" for pair in pairs]
    (folder / "a.tsv").write_text("".join(lines[:50]))
    (folder / "b.tsv").write_text("".join(lines[50:]) + "no tab\n")
    listed = read(problem(folder, PAIRS + 'train = ["a.tsv", "b.tsv"]\ndev = "a.tsv"\n'))
    sides = [(example["inputs"], example["targets"]) for example in pairs]
    assert [(example["inputs"], example["targets"]) for example in listed[:-1]] == sides
    assert "line 21 of " in str(listed[-1]["error"]) and "1 column instead of 2: inputs and targets" in str(listed[-1]["error"])


def test_a_byte_order_mark_is_no_part_of_any_file(folder):
    names = ["train.en", "train.de", "recordings.tsv", "captions.tsv", "captions_dev.jsonl", "trees/01.mrg"]
    kinds = [
        PAIRS + 'train = {inputs = "train.en", targets = "train.de"}\n',
        SPEECH,
        '[problems.mine]\nkind = "image_captions"\ntarget_space = "to_english"\ntrain = ["captions.tsv", "captions_dev.jsonl"]\n',
        '[problems.mine]\nkind = "treebank_files"\ntrain = "trees/01.mrg"\n',
    ]
    before = [read(problem(folder, text)) for text in kinds]
    for name in names:
        (folder / name).write_bytes(codecs.BOM_UTF8 + (folder / name).read_bytes())
    assert [read(problem(folder, text)) for text in kinds] == before
    (folder / "marked.toml").write_bytes(codecs.BOM_UTF8 + kinds[3].encode())
    assert [made.name for made in read_problem_file(folder / "marked.toml")] == ["mine"]


def test_a_first_line_that_may_name_columns_is_told_so(folder):
    (folder / "recordings.tsv").write_text("Datei\tTranskript\nrecordings/1.wav\tone\n")
    examples = read(problem(folder, SPEECH))
    missing = f"line 1 of {folder}/recordings.tsv: {folder}/Datei is missing"
    wanted = f"{missing}; if this line names the columns, call them path and transcript"
    assert [str(example["error"]) for example in examples if "error" in example] == [wanted]


def test_a_part_of_train_is_dev_and_the_same_each_time(folder):
    made = problem(folder, FOLDER + 'train = "photographs"\ndev_fraction = 0.3\n')
    train, dev = names(read(made)), names(read(made, "dev"))
    assert len(train) + len(dev) == 24 and not set(train) & set(dev) and 3 <= len(dev) <= 12
    assert names(read(made, "dev")) == dev
    (folder / "photographs/red/9.jpg").write_bytes(b"")
    assert set(names(read(made, "dev"))) >= set(dev[:3])
    larger = names(read(problem(folder, FOLDER + 'train = "photographs"\ndev_fraction = 0.6\n'), "dev"))
    assert set(dev) < set(larger)


def test_a_part_without_examples_is_told(folder):
    with pytest.raises(
        DataError, match=r"problems\.mine, dev_fraction: 0\.0001 of train leaves no example for dev; give dev files"
    ):
        read(problem(folder, FOLDER + 'train = "photographs"\ndev_fraction = 0.0001\n'), "dev")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('kind = "text_pairs"\ntarget_space = "to_german"\ntrain = "empty"\n', "a pair of texts per line"),
        ('kind = "text_pairs"\ntarget_space = "to_german"\ntrain = "empty"\ndev = "dev.tsv"\n', "a pair of texts per line"),
        ('kind = "treebank_files"\ntrain = "empty"\n', "trees in Penn bracketing"),
        ('kind = "treebank_files"\ntrain = "page"\ndev = "trees/01.mrg"\n', "trees in Penn bracketing"),
        ('kind = "image_captions"\ntarget_space = "to_english"\ntrain = "empty"\n', "a picture and its caption per line"),
        ('kind = "speech_manifest"\ntarget_space = "to_english"\ntrain = ["empty", "page"]\n', "a recording and its transcript"),
    ],
)
def test_files_that_hold_nothing_are_named(folder, text, wanted):
    (folder / "empty").write_bytes(b"\n")
    (folder / "page").write_bytes(b"<html>\n</html>\n" if "trees" in text else b"")
    (folder / "dev.tsv").write_bytes(b"a\tb\n")
    file = folder / ("empty" if "empty" in text else "page")
    more = " and 1 other files" if "[" in text else ""
    with pytest.raises(DataError) as error:
        read(problem(folder, f"[problems.mine]\n{text}"))
    assert f"problems.mine: there is nothing in {file}{more}; expected {wanted}" in str(error.value)


def test_all_captions_of_an_image_are_on_one_side(folder):
    lines = [
        f"photographs/{colour}/{n}.jpg\t{word}\n" for word in ("one", "two") for colour in own_files.COLOURS for n in range(8)
    ]
    (folder / "all.tsv").write_text("".join(lines))
    text = '[problems.mine]\nkind = "image_captions"\ntrain = "all.tsv"\ndev_fraction = 0.3\ntarget_space = "to_english"\n'
    train, dev = (read(problem(folder, text), split) for split in ("train", "dev"))
    assert set(Counter(names(train)).values()) == {2} and {example["targets"] for example in train} == {"one", "two"}
    assert len(train) // 2 + len(dev) == 24 and not set(names(train)) & set(names(dev))
    assert all(example["references"] == ["one", "two"] for example in dev)


def test_classes_take_turns_and_other_files_are_passed_over(folder):
    corner = folder / "photographs" / "red" / "more"
    corner.mkdir()
    (folder / "photographs/red/0.jpg").rename(corner / "Z.PNG")
    (folder / "photographs/red/notes.txt").write_text("x")
    (folder / "photographs/.cache").mkdir()
    found = read(problem(folder, FOLDER + 'train = "photographs"\ndev = "photographs"\n'))
    assert [example["targets"] for example in found[:-1]] == ["blue", "green", "red"] * 8
    assert found[-1] == {"left_out": ".txt files"}
    assert str(corner / "Z.PNG") in names(found[:-1])


def test_a_class_that_train_lacks_is_named(folder):
    (folder / "held_out").mkdir()
    shutil.copytree(folder / "photographs/red", folder / "held_out/rad")
    made = problem(folder, FOLDER + 'train = "photographs"\ndev = "held_out"\n')
    with pytest.raises(DataError, match=r"mine-dev, example 0 .*rad/0\.jpg\), targets: unknown class 'rad'; did you mean red"):
        generate([made], folder / "data", folder, 300, report=str)
    listed = problem(folder, FOLDER + 'train = "photographs"\ndev = "held_out"\nclasses = ["red", "green", "blue", "rad"]\n')
    assert listed.find_classes is None
    manifest = generate([listed], folder / "data", folder, 300, report=str)["mine"]
    assert manifest["targets"]["classes"] == ["red", "green", "blue", "rad"]


def test_classes_come_from_the_records_where_the_pictures_are_gone(folder):
    made = problem(folder, name="my_classes")
    generate([made], folder / "data", folder, 300, report=str)
    shutil.rmtree(folder / "photographs")
    assert records.as_recorded(made, folder / "data").targets.classes == ("blue", "green", "red")
    assert generate([made], folder / "data", folder, 300, report=str)["my_classes"]["complete"]
    with pytest.raises(DataError, match=r"problems\.my_classes, train: photographs is missing in "):
        generate([made], folder / "other", folder, 300, report=str)


def test_another_description_has_the_records_made_again(folder):
    text = PAIRS + 'train = {inputs = "train.en", targets = "train.de"}\n'
    generate([problem(folder, text)], folder / "data", folder, 300, report=str)
    told = []
    generate([problem(folder, text + 'metrics = ["wer"]\n')], folder / "data", folder, 300, report=told.append)
    assert "mine: complete already" in told
    changed = generate([problem(folder, text + "dev_fraction = 0.5\n")], folder / "data", folder, 300, report=told.append)
    assert "mine: made again, because its description changed" in told
    assert changed["mine"]["splits"]["dev"]["examples"] > 20


def test_long_sentences_are_left_out_of_train_alone(folder):
    long = "a b c d e"
    (folder / "a.tsv").write_text(f"a\tb\n{long}\tb\nb\t{long}\n")
    made = problem(folder, PAIRS + 'train = "a.tsv"\ndev = "a.tsv"\nmax_train_words = 4\n')
    left_out = {"left_out": "max_train_words"}
    assert [example.get("inputs", example) for example in read(made)] == ["a", left_out, left_out]
    assert [example["inputs"] for example in read(made, "dev")] == ["a", long, "b"]
    trees = '[problems.mine]\nkind = "treebank_files"\ntrain = "trees/01.mrg"\ndev = "trees/01.mrg"\nmax_train_words = {}\n'
    assert [read(problem(folder, trees.format(limit))).count(left_out) for limit in (4, 5)] == [20, 0]


def test_recordings_and_images_that_are_missing_are_error_examples(folder):
    (folder / "recordings/3.wav").unlink()
    (folder / "recordings/4.wav").write_bytes(b"RIFF")
    made = problem(folder, name="my_speech")
    errors = [example for example in read(made) + read(made, "dev") if "error" in example]
    assert [str(example["error"]) for example in errors] == [f"{folder}/recordings/3.wav is missing"]
    with pytest.raises(DataError, match=r"recordings/4\.wav\), inputs is"):
        for example in read(made) + read(made, "dev"):
            if "error" not in example:
                check_example(made, example, "x")
    (folder / "photographs/red/0.jpg").unlink()
    errors = [example["error"] for example in read(problem(folder, name="my_captions")) if "error" in example]
    assert [str(error) for error in errors] == [f"{folder}/photographs/red/0.jpg is missing"]


def test_trees_come_from_all_files_that_a_pattern_fits(folder):
    found = read(problem(folder, name="my_trees"))
    assert len(found) == 35 and "02a.mrg.gz" in found[20]["origin"] and "02b.mrg.gz" in found[30]["origin"]
    assert found[0]["inputs"] == "the dog sees the cat"
    assert found[0]["targets"] == "(S (NP DT NN )NP (VP VBZ (NP DT NN )NP )VP )S"


def test_what_is_missing_is_named_with_its_key_and_the_nearest_name(folder):
    made = problem(folder, PAIRS + 'train = {inputs = "trian.en", targets = "train.fr.gz"}\ndev = "x/y.tsv"\n')
    with pytest.raises(DataError) as caught:
        made.check(folder)
    first, second, third = str(caught.value).split("; " + str(folder))
    place = f"{folder}/problems.toml, problems.mine"
    assert first.startswith(f"{place}, train.inputs: trian.en is missing in {folder}; did you mean train.en")
    assert second.startswith(str(first[len(str(folder)) : len(place)]) + ", train.targets: train.fr.gz is missing in ")
    assert third.endswith(", dev: x/y.tsv is missing in " + str(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            FOLDER + 'train = "train.en"\n',
            r"train: .*train\.en is a file, but image_folder takes a folder with one for each class",
        ),
        (PAIRS + 'train = "trees"\n', r"train: .*trees is a folder, but text_pairs takes a file"),
        (PAIRS + 'train = "trees/*.txt"\n', r"train: trees/\*\.txt is missing in "),
    ],
)
def test_a_path_of_the_wrong_sort_is_told(folder, text, message):
    with pytest.raises(DataError, match=r"problems\.mine, " + message):
        problem(folder, text).check(folder)


def test_a_folder_without_classes_is_told(folder):
    made = problem(folder, FOLDER + 'train = "photographs/red"\n')
    with pytest.raises(DataError, match=r"train: no folder in .*photographs/red; expected one for each class"):
        generate([made], folder / "data", folder, 300, report=str)
