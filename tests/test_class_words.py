"""Words of classes go from raw data through manifests to every answer."""

import io
import json
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture
from scipy.io import savemat

from t2t_multimodel.cli import decoder, score
from t2t_multimodel.data import records
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.data.readers import class_words
from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
from t2t_multimodel.decoding.interactive import Session
from t2t_multimodel.evaluation.outputs import Confusions, Decoded
from t2t_multimodel.evaluation.scored import Scored
from t2t_multimodel.features import Image, Label, ProblemSpec
from t2t_multimodel.problem import Problem
from t2t_multimodel.problems.imagenet import IMAGE_IMAGENET
from t2t_multimodel.reports import examples, inspection_page
from t2t_multimodel.serving.answer_html import answer_html
from t2t_multimodel.serving.api import described
from t2t_multimodel.serving.limits import Limits
from t2t_multimodel.serving.service import Answer, Output
from t2t_multimodel.utils.errors import DataError

LABEL = Label(("n1", "n2"), words=("Border collie", ""))
SPEC = ProblemSpec("dogs", Image(8, 8), LABEL, "to_class")
PROBLEM = '[problems.mine]\nkind = "image_folder"\ntrain = "photos"\ndev = "photos"\n'


def test_a_label_shows_its_words_and_equals_the_one_without():
    assert [LABEL.shown(name) for name in ("n1", "n2", "n3")] == ["n1 (Border collie)", "n2", "n3"]
    assert LABEL == Label(("n1", "n2")) and Label(("a",)).with_words({"b": "x"}).words == ()
    assert ProblemSpec.from_dict(json.loads(json.dumps(SPEC.to_dict()))).targets.words == LABEL.words
    with pytest.raises(ValueError, match="got 1 for 2 classes"):
        Label(("n1", "n2"), words=("one",))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("words.txt", "n1 Border collie, collie\n\nn2 tench\n"),
        ("words.txt", "\ufeffn1\tBorder  collie, collie\r\nn2\ttench\r\n"),
        ("words.csv", 'n1,"Border collie, collie",1\nn2,tench,2\n'),
    ],
)
def test_lists_of_words_are_read(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    assert class_words.listed(tmp_path / name) == {"n1": "Border collie, collie", "n2": "tench"}


@pytest.mark.parametrize(("text", "message"), [("n1 a\nn2\n", "line 2: expected a class"), ("n1 a\nn1 b\n", "line 2: 'n1' has")])
def test_a_line_without_words_is_named(tmp_path, text, message):
    (tmp_path / "words.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        class_words.listed(tmp_path / "words.txt")


def devkit(folder, content):
    path = folder / "ILSVRC2012_devkit_t12.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("ILSVRC2012_devkit_t12/data/meta.mat")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def test_imagenets_words_are_those_of_its_development_kit_or_of_a_list(tmp_path):
    assert IMAGE_IMAGENET.find_words(tmp_path) == {}
    (tmp_path / "synset_words.txt").write_text("n01440764 tench, Tinca tinca\n")
    assert IMAGE_IMAGENET.find_words(tmp_path) == {"n01440764": "tench, Tinca tinca"}
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("num_children", "f8")]
    rows = np.array([(1, "n01443537", "goldfish, Carassius  auratus", 0), (1001, "n00001740", "entity", 2)], kinds)
    with io.BytesIO() as file:
        savemat(file, {"synsets": rows})
        devkit(tmp_path, file.getvalue())
    found = IMAGE_IMAGENET.find_words(tmp_path)
    assert found == {"n01443537": "goldfish, Carassius auratus", "n00001740": "entity"}
    targets = IMAGE_IMAGENET.with_words(found).targets
    assert targets.shown("n01443537") == "n01443537 (goldfish, Carassius auratus)" and targets.shown("n01440764") == "n01440764"
    devkit(tmp_path, b"nothing")
    with pytest.raises(DataError, match=r"meta.mat is damaged or has no synsets"):
        IMAGE_IMAGENET.find_words(tmp_path)


def test_manifests_have_the_words_also_those_that_come_later(tmp_path):
    for name in ("n1", "n2"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Picture.new("RGB", (8, 8)).save(tmp_path / "photos" / name / "1.png")
    said = []

    def make(text):
        (tmp_path / "p.toml").write_text(PROBLEM + text)
        (problem,) = read_problem_file(tmp_path / "p.toml")
        generate([problem], tmp_path / "data", tmp_path, 300, 1, report=said.append)
        return records.as_recorded(problem, tmp_path / "data").targets

    assert make("").words == ()
    with pytest.raises(DataError, match="class_words: "):
        (tmp_path / "p.toml").write_text(PROBLEM + 'class_words = "none.txt"\n')
        read_problem_file(tmp_path / "p.toml")[0].check(tmp_path)
    (tmp_path / "words.txt").write_text("n1 Border collie\n")
    said.clear()
    assert make('class_words = "words.txt"\n').words == ("Border collie", "")
    assert "mine: 1 of 2 classes have no words: n2" in said and "mine: complete already" in said
    (tmp_path / "words.txt").write_text("dog a pet\n")
    with pytest.raises(DataError, match=r"the list of words has none of the classes \(n1, n2\); it has 'dog'"):
        make('class_words = "words.txt"\n')
    (tmp_path / "words.txt").unlink()
    assert make('class_words = "words.txt"\n').words == ("Border collie", "")


def test_prompt_file_and_json_lines_have_the_words(tmp_path):
    predictor = SimpleNamespace(
        spec=lambda problem: SPEC,
        strategy=None,
        well_formed_trees=True,
        warm_up=lambda problem: None,
        longest_input=lambda problem, raw: "",
        classify=lambda problem, raws, top: [[("n1", 0.9), ("n2", 0.1)]],
    )
    answers = []
    Picture.new("RGB", (8, 8)).save(tmp_path / "1.png")
    Session(predictor, "dogs", answers.append, print).handle(str(tmp_path / "1.png"))
    assert answers == ["n1 (Border collie) (90%); n2 (10%)"]
    found = Prediction([Hypothesis("n1", -0.1, words="Border collie"), Hypothesis("n2", -3.0)], 1, 0.0)
    text, row = (decoder._formatted(SimpleNamespace(output_format=kind), b"x", found) for kind in ("text", "jsonl"))
    assert text == "n1\tBorder collie\n"
    assert json.loads(row)["outputs"] == [{"text": "n1", "words": "Border collie", "score": -0.1}, {"text": "n2", "score": -3.0}]


def test_outputs_with_words_are_scored(tmp_path):
    (tmp_path / "out.txt").write_text("n1\tBorder collie\nn2\nn1\n")
    (tmp_path / "right.txt").write_text("n1\nn2\nn2\n")
    decoded = score._read(SPEC, tmp_path / "out.txt", [tmp_path / "right.txt"])
    assert [row.output for row in decoded] == ["n1", "n2", "n1"]
    table = score._as_text(Scored({}), Confusions.of(decoded), SPEC)
    assert "n1 (Border collie)  1.000     1" in table and "n2                  0.500     2" in table


def test_served_answers_have_the_words():
    answer = Answer("dogs", [Output("n1", -0.1, None, 0.9, "Border collie"), Output("n2", -3.0, None, 0.1)], [], [], 1, 0.1)
    assert [output.get("words") for output in answer.to_json()["outputs"]] == ["Border collie", None]
    assert answer_html(answer, SPEC, 7).count("n1 (Border collie)") == 2
    assert described(SPEC, Limits())["class_words"] == ["Border collie", ""]


def test_reports_and_inspection_show_the_words():
    problem = Problem("dogs", Image(8, 8), LABEL, "to_class", lambda split, tmp_dir: [])
    (shown,) = examples.shown(problem, [Decoded("", ["n1"], "n2")])
    assert (shown.references, shown.output) == (["n1 (Border collie)"], "n2")
    assert inspection_page._text(LABEL, 0, None) == "n1 (Border collie)"
