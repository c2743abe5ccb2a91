"""The prompt: the output and the messages for each line."""

import io
import sys
from pathlib import Path

import pytest

from t2t_multimodel.data.readers.pictures.read import READ
from t2t_multimodel.data.readers.sound import kinds
from t2t_multimodel.decoding import interactive
from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
from t2t_multimodel.decoding.interactive import Session, interact
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError, UnknownNameError

SPECS = [
    ProblemSpec("mini_ende", Text(), Text(), "to_german"),
    ProblemSpec("mini_image", Image(), Label(("cat", "dog")), "to_class"),
    ProblemSpec("mini_speech", Audio(), Text(), "to_english"),
]


PREPARING = "preparing {}, which takes some seconds ..."


class FakeDecoder:
    """Predicts the input in capitals, and remembers the problems for which it was warmed up."""

    def __init__(self):
        self.specs = {spec.name: spec for spec in SPECS}
        self.warm = []
        self.strategy = Greedy()
        self.well_formed_trees = True

    def longest_input(self, problem, raw):
        return "its first letter" if raw == "long" else ""

    def spec(self, problem):
        if problem not in self.specs:
            raise UnknownNameError(unknown("problem", problem, list(self.specs)))
        return self.specs[problem]

    def predict(self, problem, raws):
        if raws == ["damaged"]:
            raise DataError("it is\ndamaged")
        best = getattr(self.strategy, "n_best", 1)
        return [Prediction([Hypothesis(raw.upper() + "\n", 0.0 - i) for i in range(best)], 1, 0.1) for raw in raws]

    def classify(self, problem, raws, top):
        return [[("dog", 0.9), ("cat", 0.1)] for _ in raws]

    def warm_up(self, problem):
        self.warm.append(problem)


def run(*lines, problem="mini_ende"):
    """Returns (prompts, outputs, messages) of a session; an exception in `lines` is raised in place of a line."""
    prompts, answers, messages = [], [], []
    rest = iter(lines)

    def read_line(prompt):
        prompts.append(prompt)
        line = next(rest, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    Session(FakeDecoder(), problem, answers.append, messages.append).run(read_line, outlives_interrupts=True)
    return prompts, answers, messages


def test_a_line_is_answered_and_an_empty_one_prompts_again():
    prompts, answers, messages = run("a dog", "", "   ", b"a cat")
    assert prompts == ["mini_ende> "] * 5
    assert answers == ["A DOG", "A CAT"]
    assert not messages


def test_a_line_ends_where_a_files_line_does():
    assert run("a\u2028dog\r\nb\u0085\x0ccat")[1] == run("a\u2028dog", "b\u0085\x0ccat")[1]


def test_trees_are_well_formed_until_it_is_switched_off():
    decoder, messages = FakeDecoder(), []
    session = Session(decoder, "mini_ende", print, messages.append)
    for line, expected in ((":well_formed off", False), (":well_formed on", True)):
        session.handle(line)
        assert decoder.well_formed_trees is expected
    assert decoder.warm == ["mini_ende"] * 2
    session.handle(":well_formed maybe")
    assert messages == [PREPARING.format("mini_ende"), ":well_formed takes on or off, got 'maybe'"]


def test_the_decoder_is_warm_before_the_first_prompt():
    decoder = FakeDecoder()

    def read_line(prompt):
        assert decoder.warm == ["mini_ende"]
        raise EOFError

    Session(decoder, "mini_ende", print, print).run(read_line)


def test_a_sentence_for_a_problem_of_files_is_told_where_sentences_go():
    _, _, messages = run("a red dog", "none.png", problem="mini_image")
    assert messages[0].startswith("there is no file 'a red dog'")
    assert messages[0].endswith("; :problem NAME changes to another; sentences are for mini_ende")
    assert "sentences" not in messages[1]


def test_problems_are_listed_and_switched():
    prompts, answers, messages = run(":problem mini_speech", ":problems")
    assert prompts == ["mini_ende> ", "mini_speech> ", "mini_speech> "]
    assert messages == [
        PREPARING.format("mini_speech"),
        "  mini_ende: text -> text (to_german)",
        "  mini_image: image -> label (to_class)",
        "* mini_speech: audio -> text (to_english)",
    ]


def test_several_lines_may_be_pasted():
    assert run("a\nb\n:quit\nc", "d")[1] == ["A", "B"]


def test_quit_and_interrupts():
    prompts, answers, _ = run("a", KeyboardInterrupt(), "b", ":quit", "c")
    assert answers == ["A", "B"]
    with pytest.raises(KeyboardInterrupt):
        Session(FakeDecoder(), "mini_ende", print, print).run(lambda prompt: (_ for _ in ()).throw(KeyboardInterrupt()))


EXPLAINED = [
    ("damaged", "it is damaged"),
    (b"\xff\xfe", "the line is not UTF-8 text"),
    (b"\0\1", "the line holds control characters; expected text"),
    (":problm x", "unknown command ':problm'; did you mean :problem or :problems or :beam?"),
    (":problem", ":problem takes a name; there are: mini_ende, mini_image, mini_speech"),
    (":problem german", "unknown problem 'german'; there are: mini_ende, mini_image, mini_speech"),
]


@pytest.mark.parametrize(("line", "explanation"), EXPLAINED)
def test_a_mistake_is_explained_in_one_line_and_the_prompt_comes_again(line, explanation):
    prompts, answers, messages = run(line, "on")
    assert messages == [explanation]
    assert answers == ["ON"]
    assert prompts == ["mini_ende> "] * 3


def test_a_wrong_path_is_explained(tmp_path):
    damaged = tmp_path / "a.png"
    damaged.write_bytes(b"no picture")
    _, answers, messages = run("none.png", str(damaged), str(tmp_path), problem="mini_image")
    assert len(messages) == 3 and not answers
    assert messages[0] == f"there is no file 'none.png'; expected the path of an image ({READ})"
    assert messages[1] == f"{damaged} is no picture that can be read ({READ}), or far too large a one"


def test_classes_come_with_their_probabilities(tmp_path):
    from PIL import Image as Picture

    Picture.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert run(str(tmp_path / "a.png"), problem="mini_image")[1] == ["dog (90%), cat (10%)"]


def test_help_says_what_a_line_is():
    assert run(":help", problem="mini_speech")[2][0] == f"A line is the path of a sound file ({kinds.READ})."
    assert len(run(":help")[2]) == 1 + len(interactive.COMMANDS)


def test_a_pipe_gets_one_answer_a_line_and_all_else_on_stderr(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a dog\r\n\n\xff\n:quit\n\xc3\xbcber\nlast")))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out := io.BytesIO(), encoding="ascii"))
    interact(FakeDecoder(), "mini_ende", "out at step 3", Path("data"))
    captured = capsys.readouterr()
    assert out.getvalue().decode() == "A DOG\n\n\n:QUIT\n\u00dcBER\nLAST\n"
    assert captured.err.startswith("out at step 3\n")
    assert "not UTF-8" in captured.err


def test_the_search_can_be_changed_at_the_prompt():
    decoder, answers, messages = FakeDecoder(), [], []
    session = Session(decoder, "mini_ende", answers.append, messages.append)
    for line, strategy in [
        (":beam 4", BeamSearch(4)),
        (":nbest 2", BeamSearch(4, n_best=2)),
        (":beam 6", BeamSearch(6, n_best=2)),
        (":nbest 8", BeamSearch(8, n_best=8)),
        (":beam 2", BeamSearch(2, n_best=2)),
        (":beam 1", Greedy()),
        (":nbest 3", BeamSearch(3, n_best=3)),
        (":sample 0.5", Sampling(0.5)),
        (":beam 2", BeamSearch(2)),
    ]:
        assert session.handle(line)
        assert decoder.strategy == strategy
    assert len(decoder.warm) == 9
    assert messages == [PREPARING.format("mini_ende")] * 8  # beam 1 is where it began
    session.handle(":nbest 2")
    session.handle("a dog")
    assert answers == ["   0.000  A DOG", "  -1.000  A DOG"]


@pytest.mark.parametrize("line", [":beam", ":beam 0", ":beam x", ":beam 1000", ":nbest -1", ":nbest 2.5"])
def test_a_number_that_will_not_do_is_explained(line):
    _, answers, messages = run(line)
    name, _, argument = line.partition(" ")
    assert (answers, messages) == ([], [f"{name} takes a number from 1 to 64, got {argument!r}"])


@pytest.mark.parametrize("argument", ["", "0", "-1", "warm", "nan"])
def test_a_temperature_that_will_not_do_is_explained(argument):
    assert run(f":sample {argument}")[2] == [f":sample takes a temperature above 0, got {argument!r}"]


def test_an_input_that_is_too_long_is_told_and_answered():
    _, answers, messages = run("long")
    assert (answers, messages) == (["LONG"], ["too long; cut to its first letter"])


def test_what_was_prepared_once_is_ready():
    _, _, messages = run(*[":problem mini_speech", ":problem mini_ende"] * 2)
    assert messages == [PREPARING.format("mini_speech")]


def test_an_example_of_dev_is_decoded_beside_what_is_right(monkeypatch):
    examples = iter([("a dog", "ein Hund"), DataError("there are no records")])

    def following(self, spec):
        if isinstance(found := next(examples), DataError):
            raise found
        return found

    monkeypatch.setattr(interactive.ShownExamples, "next", following)
    _, answers, messages = run(":example", ":example")
    assert (answers, messages) == (["A DOG"], ["input: a dog", "right: ein Hund", "there are no records"])
