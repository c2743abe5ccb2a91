"""mm-score: outputs against references by every metric of a problem, confusions of classes, and log-probabilities of pairs."""

import json
import math

import pytest
import small_run
from PIL import Image

from t2t_multimodel.cli import common, score
from t2t_multimodel.config import HParams
from t2t_multimodel.features import Label, ProblemSpec, Text
from t2t_multimodel.runs.run_config import RunConfig

SPECS = (
    ProblemSpec("ende", Text(), Text(), "to_german", metrics=("bleu", "wer")),
    ProblemSpec("parse", Text(), Text("tree"), "to_parse_tree", metrics=("parse_f1",)),
    ProblemSpec("label", Text(), Label(("cat", "dog", "owl")), "to_class"),
)
PENN = "(S (NP (DT the) (NN dog)) (VP (VBZ sleeps)))"


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(common, "load_registries", lambda *args: None)


@pytest.fixture
def command(tmp_path, capsys):
    """Runs mm-score on files that are given by name and content; returns its exit code, stdout and stderr."""
    RunConfig("x", HParams(), SPECS, 300, "0" * 64, "data").save(tmp_path)

    def run(*flags, **files):
        paths = []
        for flag, content in files.items():
            path = tmp_path / f"{flag}.{'jsonl' if content.startswith('{') else 'txt'}"
            path.write_text(content, encoding="utf-8")
            paths.append(f"--{flag.rstrip('0123456789')}={path}")
        code = score.main([f"--output_dir={tmp_path}", *paths, *flags])
        return code, *capsys.readouterr()

    return run


def test_texts_are_scored_by_every_metric_with_its_signature(command):
    lines = "ein Hund schläft hier\nzwei Katzen sehen den Vogel\n"
    code, out, _ = command("--problems=ende", "--output_format=json", hypotheses=lines, references=lines)
    found = json.loads(out)
    assert code == 0 and (found["bleu"], found["chrf"], found["wer"]) == (pytest.approx(100), pytest.approx(100), 0)
    assert found["bleu_signature"].startswith("nrefs:1|") and "chrf_signature" in found and "wer_normalization" in found
    other = lines.replace("schläft", "rennt")
    _, out, _ = command("--problems=ende", hypotheses=other, references1=lines, references2=other, **{})
    assert "bleu 100 of 100" in out and "bleu_signature nrefs:2|" in out
    _, out, _ = command("--problems=ende", "--metrics=cer", hypotheses=other, references=lines)
    assert out.startswith("cer ") and "bleu" not in out


def test_outputs_of_the_other_commands_are_read(command):
    decoder = "".join(json.dumps({"input": "x", "outputs": [{"text": text, "score": -1}]}) + "\n" for text in ("a b", "c d"))
    _, out, _ = command("--problems=ende", "--metrics=wer", hypotheses=decoder, references="a b\nc e\n")
    assert out.startswith("wer 0.25 ")
    trainer = json.dumps({"inputs": "x", "references": ["a b", "a c"], "output": "a c"}) + "\n"
    assert command("--problems=ende", "--metrics=wer", hypotheses=trainer)[1].startswith("wer ")


def test_trees_may_be_in_penn_bracketing(command):
    linearised = "(S (NP DT NN )NP (VP VBZ )VP )S"
    for line in (PENN, linearised):
        _, out, _ = command("--problems=parse", hypotheses=f"{line}\n(S broken\n", references=f"{PENN}\n{linearised}\n")
        assert out == "parse_f1 0.6667 (66.7%)\nwell_formed 0.5 (50.0%)\n"


def test_labels_have_a_confusion_matrix_and_accuracy_per_class(command):
    given, right = "cat\ndog\ndog\nowl\n", "cat\ncat\ndog\nowl\n"
    _, out, _ = command("--problems=label", hypotheses=given, references=right)
    assert out.startswith("accuracy 0.75 of 4 examples\n") and "cat    0.500     2\n" in out
    assert "right \\ given  cat  dog  owl\ncat            1    1    0\n" in out
    _, out, _ = command("--problems=label", "--output_format=json", hypotheses=given, references=right)
    found = json.loads(out)
    assert found["class_accuracy"] == {"cat": 0.5, "dog": 1.0, "owl": 1.0} and found["accuracy"] == 0.75
    assert found["confusion_matrix"] == {"cat": {"cat": 1, "dog": 1}, "dog": {"dog": 1}, "owl": {"owl": 1}}


@pytest.mark.parametrize(
    ("flags", "files", "message"),
    [
        ([], {}, "--hypotheses (outputs to compare with --references) or --pairs must be given"),
        ([], {"hypotheses": "a\n"}, "--problems must name one of: ende, parse, label"),
        (["--problems=end"], {"hypotheses": "a\n"}, "unknown problem 'end'; did you mean ende"),
        (["--problems=ende"], {"hypotheses": "a\n"}, "has no references; give --references, with one per line"),
        (["--problems=ende"], {"hypotheses": "a\n", "references": "a\nb\n"}, "has 1 outputs, "),
        (["--problems=ende"], {"hypotheses": "a\n", "references": "\n"}, "reference 1 is empty"),
        (["--problems=ende"], {"hypotheses": '{"text": "a"}\n', "references": "a\n"}, 'expected {"output": "..."}'),
        (
            ["--problems=ende", "--metrics=blue"],
            {"hypotheses": "a\n", "references": "a\n"},
            "unknown metric 'blue'; did you mean bleu",
        ),
        (
            ["--problems=label"],
            {"hypotheses": "cat\n", "references": "cta\n"},
            "reference 1: unknown class 'cta'; did you mean cat",
        ),
        (
            ["--problems=parse"],
            {"hypotheses": "(S\n", "references": "(S\n"},
            "reference 1 is no tree, neither in Penn bracketing",
        ),
    ],
)
def test_a_mistake_is_one_line(command, flags, files, message):
    code, _, said = command(*flags, **files)
    assert code == 2 and said.count("\n") == 1 and message in said


def test_pairs_have_log_probabilities(tmp_path, capsys):
    folder = small_run.make(tmp_path)
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a dog\tein Hund\na cat and a dog\tHund\nno tab\na\tein\n")
    found = []
    for size in (1, 8):
        assert score.main([f"--output_dir={folder}", "--problems=ende", f"--pairs={pairs}", f"--batch_size={size}"]) == 1
        shown = capsys.readouterr()
        assert f"line 3 of {pairs}: 1 column instead of 2" in shown.err
        found.append([json.loads(line) for line in shown.out.splitlines()])
    assert ["error" in row for row in found[0]] == [False, False, True, False]
    for alone, together in zip(*found, strict=True):
        if "error" not in alone:
            assert alone["token_log_probs"] == pytest.approx(together["token_log_probs"], abs=1e-3)
            assert alone["log_prob"] == pytest.approx(sum(alone["token_log_probs"]), abs=1e-3) and alone["log_prob"] < 0
            assert "".join(alone["tokens"]).strip() == alone["target"]
    Image.new("RGB", (20, 16), "red").save(tmp_path / "a.png")
    pairs.write_text("".join(f"a.png\t{name}\n" for name in ("cat", "dog", "owl")))
    assert score.main([f"--output_dir={folder}", "--problems=picture", f"--pairs={pairs}"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(math.exp(row["log_prob"]) for row in rows) == pytest.approx(1, abs=1e-4)
