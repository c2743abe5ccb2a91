"""Problem files register problems; a mistake in one is one line."""

import pickle
from pathlib import Path

import pytest
import registries

from t2t_multimodel.data.problem_file.load import read_problem_file, register_problem_file
from t2t_multimodel.data.problem_file.schema import METRICS
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text
from t2t_multimodel.problem import Problem, problems
from t2t_multimodel.utils.errors import DataError

LISTED = ", ".join(METRICS)

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "own_data" / "problems.toml"
PAIRS = '[problems.mine]\nkind = "text_pairs"\ntarget_space = "to_german"\n'
FOLDER = '[problems.mine]\nkind = "image_folder"\n'


@pytest.fixture(autouse=True)
def registry_as_before():
    with registries.as_before(problems):
        yield


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "my.toml").write_text(text, encoding="utf-8")
        return tmp_path / "my.toml"

    return write


def test_the_example_describes_every_kind():
    found = {problem.name: problem for problem in read_problem_file(EXAMPLE)}
    features = {name: (problem.inputs, problem.targets) for name, problem in found.items()}
    picture = Image(32, 32)
    assert features == {
        "my_translation": (Text(), Text()),
        "my_translation_rev": (Text(), Text()),
        "my_classes": (Image(32, 32, augment=("crop", "flip")), Label((), "my_classes")),
        "my_captions": (picture, Text()),
        "my_speech": (Audio(8000), Text()),
        "my_trees": (Text(), Text("tree")),
    }
    assert [problem.metrics for problem in found.values()] == [("bleu",), ("bleu",), (), ("cider",), ("wer",), ("parse_f1",)]
    spaces = ["to_german", "to_english", "to_class", "to_english", "to_english", "to_parse_tree"]
    assert [problem.target_space for problem in found.values()] == spaces
    assert found["my_translation_rev"].records_name == "my_translation" and found["my_translation_rev"].reversed


def test_problems_can_be_sent_to_workers():
    for problem in read_problem_file(EXAMPLE):
        assert pickle.loads(pickle.dumps(problem)).spec() == problem.spec()


def test_metrics_are_those_that_exist():
    from t2t_multimodel.evaluation.metrics import metrics

    assert sorted(METRICS) == metrics.names()


def test_how_outputs_are_scored_is_described_too(write):
    text = 'train = "a"\nbleu_tokenizer = "zh"\nreverse = {target_space = "to_english", bleu_tokenizer = "intl"}\n'
    speech = '[problems.said]\nkind = "speech_manifest"\ntarget_space = "x"\ntrain = "b"\nwer_ignores = ["case", "noises"]\n'
    found = {problem.name: problem.spec() for problem in read_problem_file(write(PAIRS + text + speech))}
    assert [(spec.bleu_tokenizer, spec.wer_ignores) for spec in found.values()] == [
        ("zh", ()),
        ("intl", ()),
        ("", ("case", "noises")),
    ]
    assert all(ProblemSpec.from_dict(spec.to_dict()).wer_ignores == spec.wer_ignores for spec in found.values())
    older = {key: value for key, value in found["said"].to_dict().items() if key not in ("wer_ignores", "bleu_tokenizer")}
    assert ProblemSpec.from_dict(older) == found["said"]  # a run may go on with other scores


def test_unknown_ways_of_scoring_are_refused_in_python():
    with pytest.raises(ValueError, match="problem 'x': unknown bleu_tokenizer '13b'; did you mean 13a"):
        Problem("x", Text(), Text(), "to_x", lambda split, tmp_dir: (), bleu_tokenizer="13b")
    with pytest.raises(ValueError, match="unknown name in wer_ignores 'cases'; did you mean case"):
        Problem("x", Text(), Text(), "to_x", lambda split, tmp_dir: (), wer_ignores=("cases",))


def test_a_file_may_be_given_twice_but_not_a_name(write):
    path = write(PAIRS + 'train = "a.tsv"\n')
    register_problem_file(path)
    register_problem_file(path)
    assert "mine" in problems
    with pytest.raises(DataError, match=r"my\.toml, problems\.mine: another problem has this name already"):
        register_problem_file(write(PAIRS + 'train = "b.tsv"\n'))


MISTAKES = [
    ("x = [", "is not TOML: "),
    (PAIRS + 'train = "C:\\data\\x.tsv"\n', "; a path with backslashes goes in single quotes, as 'C:\\data\\train.tsv'"),
    (PAIRS + 'train = "C:\\Users\\x.tsv"\n', "(at line 4, column 14); a path with backslashes goes in single quotes"),
    (
        PAIRS + 'train = "C:\\texts\\new.tsv"\n',
        "'C:\\texts\\new.tsv' has the character '\\t'; a path with backslashes",
    ),
    ("", "describes no problem; one begins with [problems.its_name]"),
    ("problems = 3", "describes no problem"),
    ("[problem.mine]\n", "unknown key 'problem'; did you mean problems?"),
    ("problems.mine = 3", ", problems.mine: must be a table"),
    ('[problems."my-own"]\nkind = "text_pairs"\n', ", problems.my-own: a name is made of letters"),
    ("[problems.mine]\n", ", problems.mine: the key kind is missing; there are: text_pairs, image_folder"),
    ('[problems.mine]\nkin = "text_pairs"\n', ", problems.mine: the key kind is missing; did you mean it by 'kin'?"),
    ('[problems.mine]\nkind = "text_pair"\n', ", problems.mine, kind: unknown kind 'text_pair'; did you mean text_pairs"),
    ("[problems.mine]\nkind = []\n", ", problems.mine, kind: unknown kind '[]'"),
    (PAIRS, ", problems.mine: the key train is missing; it must be {inputs = "),
    ('[problems.mine]\nkind = "text_pairs"\ntrain = "a"\n', "the key target_space is missing; it must be the command token"),
    (PAIRS + 'train = "a"\ntarget_spce = "b"\n', ", problems.mine: unknown key 'target_spce'; did you mean target_space?"),
    (PAIRS + 'train = "a"\nheight = 3\n', ", problems.mine: unknown key 'height'"),
    (PAIRS + "train = 3\n", ", problems.mine, train: must be {inputs = "),
    (PAIRS + 'train = {input = "a", targets = "b"}\n', 'got {"input": "a", "targets": "b"}'),
    (PAIRS + 'train = {inputs = "*.en", targets = "*.de"}\n', ", problems.mine, train: must be {inputs"),
    (PAIRS + 'train = "a"\nmax_train_words = true\n', "max_train_words: must be a whole number above 0, got true"),
    (PAIRS + 'train = "a"\nmax_train_words = 2.5\n', "must be a whole number above 0, got 2.5"),
    (PAIRS + 'train = "a"\nbleu_tokenizer = "13b"\n', "bleu_tokenizer: must be one of 13a, intl, zh, char"),
    (PAIRS + 'train = "a"\nwer_ignores = ["cases"]\n', "wer_ignores: must be a list of some of case, punctuation, noises, wsj"),
    (
        PAIRS + 'train = "a"\nmetrics = ["blue"]\n',
        f'must be a list of some of {LISTED}, got ["blue"]',
    ),
    (
        PAIRS + 'train = "a"\nmetrics = "bleu"\n',
        f'metrics: must be a list of some of {LISTED}, got "bleu"',
    ),
    (PAIRS + 'train = "a"\ndev_fraction = 5\n', "dev_fraction: must be a number between 0 and 1, got 5"),
    (PAIRS + 'train = "a"\ndev = "b"\ndev_fraction = 0.1\n', "dev_fraction: dev has files of its own"),
    (PAIRS + 'train = "a"\nloss_weight = -1\n', "loss_weight: must be a number above 0, got -1"),
    (PAIRS + 'train = "a"\nreverse = {}\n', ", problems.mine, reverse: the key target_space is missing"),
    (PAIRS + 'train = "a"\nreverse = {nme = "b"}\n', ", problems.mine, reverse: unknown key 'nme'; did you mean name?"),
    (PAIRS + 'train = "a"\nreverse = "to_english"\n', "reverse: must be a table"),
    (PAIRS.replace("to_german", "to german") + 'train = "a"\n', "target_space: must be the command token"),
    (FOLDER + 'train = "a"\nclasses = ["b", "b"]\n', "classes: must be a list of different texts"),
    (FOLDER + 'train = "a"\naugment = ["flop"]\n', "augment: must be a list of some of crop, flip"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_names_file_problem_and_key(write, text, message):
    path = write(text)
    with pytest.raises(DataError) as caught:
        register_problem_file(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path, message in ((tmp_path / "no.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError, match=f"^--problem_file={path}: {message}.*; give a TOML file$"):
            read_problem_file(path)


def test_a_file_in_another_encoding_is_told(tmp_path):
    (tmp_path / "my.toml").write_bytes(b'[problems.caf\xe9]\nkind = "text_pairs"\n')
    with pytest.raises(DataError, match=r"my\.toml is not TOML: .*utf-8"):
        read_problem_file(tmp_path / "my.toml")
