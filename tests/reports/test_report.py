"""The report has the same content in both formats, is one complete file, and names the goals that were not reached."""

import dataclasses
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from t2t_multimodel.evaluation.outputs import Decoded
from t2t_multimodel.features import Audio, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.reports import examples as report_examples
from t2t_multimodel.reports.page import Heading
from t2t_multimodel.reports.report import outcome, training_blocks, write_report
from t2t_multimodel.reports.scored_run import read_run
from t2t_multimodel.reports.scores import goals_of
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.json_lines import training_seconds

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """A parser that checks that elements are closed in order and collects the tables' cells, the media's sources and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.sources, self.text, self.drawings, self.kinds = [], [], [], "", 0, []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)
        self.drawings += tag == "svg"
        self.kinds += [value for name, value in attrs if name == "class"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        assert tag == "line"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def written(made_run):
    output_dir, data_dir = made_run
    table = write_report(output_dir, data_dir, ["It ran on 2 cores."], continue_to=1000)
    return output_dir, table, Page((output_dir / "report.html").read_text()), (output_dir / "report.md").read_text()


def row(table, problem, measure):
    [found] = [dict(zip(table.header, row, strict=True)) for row in table.rows if tuple(row[:2]) == (problem, measure)]
    return found


def test_html_is_one_well_formed_file(written):
    _, _, page, _ = written

    assert page.sources and all(source.startswith("data:") for source in page.sources)
    assert "150 steps in 3.2 minutes. It ran on 2 cores." in page.text


def test_both_formats_have_the_same_table_rows(written):
    _, _, page, markdown = written
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]
    plain = [[cell.replace("**", "").strip() for cell in line] for line in lines if line[0].strip() != "---"]
    cells = [[re.sub(r"\\(.)", r"\1", cell) for cell in line] for line in plain]

    assert cells == page.rows
    assert len(page.rows) > 20


def test_markdown_shows_files_that_exist(written):
    output_dir, _, page, markdown = written
    named = re.findall(r"\]\(([^)]*)\)", markdown)

    drawings = [name for name in named if name.endswith(".svg")]
    assert len(named) == len(page.sources) + len(drawings)
    assert len(drawings) == page.drawings > 0
    assert all((output_dir / name).stat().st_size > 100 for name in named)


def test_goals_that_are_reached_and_not(written):
    _, table, page, markdown = written

    assert row(table, "t_class", "accuracy")["verdict"] == "reached"
    assert row(table, "t_caption", "accuracy_per_sequence")["verdict"] == "reached by cider"
    assert row(table, "t_caption", "cider")["verdict"] == "reached"
    assert row(table, "t_speech", "wer")["verdict"] == "reached"
    assert row(table, "t_enfr_rev", "bleu")["verdict"] == "below its goal"
    for text in (page.text, markdown):
        assert (
            "5 of 6 problems have reached their goals after 150 steps, not yet t_enfr_rev (bleu 45.0, wanted at least 90.0)."
            in text
        )
    assert "make demo-full goes on from here to step 1,000: some 18 minutes" in page.text
    assert "`make demo-full` goes on from here to step 1,000: some 18 minutes" in markdown


def test_a_problem_is_one_row_with_a_sentence(written):
    _, _, page, _ = written
    start = page.rows.index(["problem", "what it does", "score", "without looking", "goal", "verdict"])
    rows = {found[0]: found[1:] for found in page.rows[start + 1 : start + 7]}

    assert rows["t_class"][0] == "Says to which of 4 classes a picture belongs."
    assert rows["t_caption"][:2] == ["Says in English what a picture shows.", "cider 9.90 (references: 10.00)"]
    assert rows["t_speech"][-2:] == ["at most 0.150", "reached"]
    assert rows["t_parse"][0] == "Draws the parse tree of a sentence."
    assert rows["t_enfr"][0] == "Translates a sentence into French."
    assert rows["t_enfr_rev"][-1] == "below its goal"


def test_it_says_how_it_was_made_and_what_comes_next(written):
    output_dir, _, page, _ = written
    facts = {found[0]: found[1] for found in page.rows if len(found) == 2}

    assert facts["seed"] == "1" and facts["parameters"] == "no checkpoint is left"
    assert f"mm-decoder --output_dir={output_dir}" in page.text
    assert "mm-datagen --problems=t_class,t_caption" in page.text


def test_right_and_wrong_are_told_apart_and_counted(written):
    _, _, page, markdown = written

    assert "Says in English what a picture shows. 3 of 4 are right." in page.text
    cards = [kind for kind in page.kinds if kind.startswith("card ") and "cards" not in kind]
    assert "card right" in cards and "card wrong" in cards and "card sound wrong" in cards
    assert "- model (wrong): **\\<b\\>something** **else\\</b\\>**" in markdown
    assert page.text.index("See") < page.text.index("Hear") < page.text.index("Read") < page.text.index("Parse")


def test_classes_have_their_accuracy_and_confusions(written):
    _, _, page, _ = written

    assert ["red", "0.000", "1"] in page.rows and ["blue", "1.000", "1"] in page.rows
    (red,) = [found for found in page.rows if found[0] == "red" and len(found) == 6]
    assert sorted(red[1:]) == ["0", "0", "0", "0", "1"]  # the first picture's class is given as <b>something else</b>


def test_it_draws_where_the_model_looks(written):
    output_dir, _, page, markdown = written

    assert page.text.count("Where it looks") == 4  # of problems with texts, one of which has no file
    assert "y&" in page.text and "<b>" in page.text and "(end)" in page.text
    files = sorted(path.name for path in (output_dir / "report_files").glob("*attention*"))
    assert files == [f"t_{name}-attention-0.svg" for name in ("caption", "enfr", "parse", "speech")]
    for name in files:
        svg = (output_dir / "report_files" / name).read_text()
        assert svg.count("<rect") == 12 and svg.count("<text") == (7 if "enfr" in name or "parse" in name else 3)
        assert 'fill-opacity="1.00"' in svg and 'fill-opacity="0.25"' in svg


def test_trivial_answers(written):
    _, table, _, _ = written

    assert row(table, "t_class", "accuracy")["trivial"] == "0.250"
    assert row(table, "t_parse", "accuracy_per_sequence")["trivial"] == "1.000"
    assert row(table, "t_speech", "wer")["trivial"] == "0.750"
    assert row(table, "t_enfr", "bleu")["which is"] == "source copied"
    assert float(row(table, "t_enfr", "bleu")["trivial"]) < 30


def test_examples_stand_beside_the_right_answers(written):
    _, _, page, _ = written

    assert "<b>something else</b>" in page.text
    assert "| square *" in page.text
    assert "(S (NP (DT the) (NN green)) (VP (VBZ is)))" in page.text


def test_all_reached_needs_no_further_command(scored_run):
    output_dir, _ = scored_run
    metrics = output_dir / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"bleu": 45.0', '"bleu": 95.0'))
    run = read_run(output_dir)
    goals = {problem.name: goals_of(problem, run.decoded[problem.name]) for problem in run.problems}

    assert outcome(run, goals, "make demo-full") == "All 6 problems have reached their goals."


def test_a_run_without_scores_is_named(scored_run):
    output_dir, data_dir = scored_run
    (output_dir / "decoded-t_parse-dev.jsonl").unlink()

    with pytest.raises(DataError, match=r"there is no .*decoded-t_parse-dev\.jsonl"):
        write_report(output_dir, data_dir)


def test_a_run_without_experts_has_no_load(scored_run):
    output_dir, _ = scored_run
    config = read_run(output_dir).config
    dataclasses.replace(config, hparams=config.hparams.override(num_experts=0)).save(output_dir)

    assert [block.text for block in training_blocks(read_run(output_dir)) if isinstance(block, Heading)] == ["Curves"]


def test_time_adds_up_over_continuations():
    rows = [{"split": "train", "time": time} for time in (10.0, 20.0, 5.0, 7.0)] + [{"split": "dev", "time": 99.0}]

    assert training_seconds(rows) == 27.0
    assert training_seconds([]) == 0.0


def test_a_sound_whose_text_other_recordings_have_too_is_shown_without_sound(monkeypatch, tmp_path):
    problem = Problem("t_digits", Audio(8000), Text(), "to_english", lambda split, tmp_dir: [])
    tone = (np.sin(np.arange(4000) * 0.3) * 9000).astype("<i2").tobytes()
    monkeypatch.setattr(
        report_examples, "dev_records", lambda problem, data_dir: [(tone, text) for text in ("one", "two", "one")]
    )
    monkeypatch.setattr(report_examples, "as_text", lambda feature, value, vocabulary: value)
    monkeypatch.setattr(report_examples.Vocabulary, "load", lambda path: None)
    decoded = [Decoded("", [text], text) for text in ("one", "two", "one")]
    cards = report_examples.sound_cards(problem, SimpleNamespace(decoded={"t_digits": decoded}), tmp_path)
    assert [bool(card.wav) for card in cards] == [True, False]
    assert [card.lines[0][1].text for card in cards] == ["two", "one"]
    assert cards[1].lines[-1] == ("sound", "not shown: several recordings have this text") != cards[0].lines[-1]
