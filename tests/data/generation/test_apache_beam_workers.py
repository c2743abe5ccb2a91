"""Apache Beam pipelines make the same files as processes. Most of this is tested without Beam, by a stand-in for a pipeline."""

import random
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from t2t_multimodel.data import records
from t2t_multimodel.data.generation import apache_beam_workers, encode
from t2t_multimodel.data.generation.apache_beam_workers import BeamWorkers, work
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError, UnknownNameError, WorkerError

OPTIONS = {"on_error": "skip", "rules": frozenset({"duplicates", "overlap", "ratio"})}


class PipelineStandIn(BeamWorkers):
    """Works on files as a pipeline may: in any order, some of them twice, interrupted after a number of files."""

    def __init__(self, files=10**6):
        self._pool, self._name, self._files, self.seen = None, "StandIn", files, []

    def _work(self, files, log):
        files = random.Random(7).sample(files, len(files)) + files[:2]
        for file in files:
            if len(self.seen) == self._files:
                raise KeyboardInterrupt
            self.seen.append(file)
            work(str(file))


def pairs(bad=None):
    """Returns a problem of 520 pairs, some repeated, damaged or in dev too, one of dev `bad`. Its functions cannot be pickled."""

    def generate_split(split, tmp_dir):
        for i in range(520 if split == "train" else 50):
            if i % 100 == 40:
                yield bad if bad and split == "dev" else {"error": DataError(f"line {i} is binary")}
            yield {"inputs": f"train {i % 450}", "targets": f"{i % 450 % 11} x {i % 450}" * (40 if i == 70 else 1)}

    return Problem("pairs", Text(), Text(), "to_german", generate_split, check=lambda tmp_dir: None)


def make(data_dir, workers=None, bad=None, **options):
    options = OPTIONS | options
    generate([pairs(bad)], data_dir, data_dir.parent, 330, num_shards=3, report=lambda line: None, workers=workers, **options)


def contents(folder):
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(encode, "_CHUNK_EXAMPLES", 20)
    monkeypatch.setattr(apache_beam_workers, "_ITEMS_OF_A_PIPELINE", 8)


def test_files_lists_and_reports_are_those_of_one_process(tmp_path):
    make(tmp_path / "one")
    workers = PipelineStandIn()
    make(tmp_path / "data", workers)
    assert contents(tmp_path / "data") == contents(tmp_path / "one")
    assert len((tmp_path / "data/pairs-train-skipped.txt").read_text().splitlines()) == 5
    train = records.read_manifest(tmp_path / "data", "pairs")["splits"]["train"]
    assert set(train["left_out"]) == set(OPTIONS["rules"])
    assert sum(file.name.endswith("tfrecord.item") for file in set(workers.seen)) == 3


@pytest.mark.parametrize("files", [2, 13, 27, 42])
def test_an_interrupted_pipeline_is_gone_on_with_and_nothing_is_worked_on_twice(tmp_path, files):
    make(tmp_path / "one")
    first, second = PipelineStandIn(files), PipelineStandIn()
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "data", first)
    done = {file for file in first.seen if file.with_suffix(".result").exists()}
    make(tmp_path / "data", second)
    assert done and not done & set(second.seen)
    assert contents(tmp_path / "data") == contents(tmp_path / "one")


def test_results_for_another_plan_are_not_used(tmp_path):
    make(tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "data", PipelineStandIn(13), rules=frozenset({"long"}))
    late = next((tmp_path / "data").glob(".pairs.making/spool-*"))
    make(tmp_path / "data", PipelineStandIn())
    assert not late.exists()
    assert contents(tmp_path / "data") == contents(tmp_path / "one")


def test_damage_stops_as_it_does_in_one_process(tmp_path):
    make(tmp_path / "data")  # The vocabulary exists, so that only the pipeline reads.
    (tmp_path / "data/pairs-dev-00000-of-00001.tfrecord").unlink()
    before = contents(tmp_path / "data")
    with pytest.raises(DataError, match=r"^pairs-dev, example 40, inputs: the text is empty \(--on_error=skip"):
        make(tmp_path / "data", PipelineStandIn(), {"inputs": " ", "targets": "x"}, on_error="fail")
    assert contents(tmp_path / "data") == before


class Count(NamedTuple):
    """An item of work that counts how often it is worked on."""

    name: str
    log: Path


def count(item):
    with item.log.open("a") as log:
        log.write("x")
    return len(item.log.read_text())


def test_a_second_try_of_a_worker_changes_nothing(tmp_path):
    file = apache_beam_workers._spooled(count, Count("a.b", tmp_path / "log"), tmp_path)
    work(str(file))
    work(str(file))
    assert apache_beam_workers._result(file) == 1
    assert (tmp_path / "log").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.item", "a.b.result", "log"]


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="a.item is not there on the worker .*; --data_dir must lie on a file system"):
        work(str(tmp_path / "a.item"))
    with pytest.raises(WorkerError, match="a.result was not written where this machine sees it; --data_dir must lie"):
        apache_beam_workers._result(tmp_path / "a.item")


def test_without_beam_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(WorkerError, match=r"--runner=DirectRunner needs Apache Beam .*in the checkout: pip install '\.\[beam\]'"):
        BeamWorkers("DirectRunner")


class TestWithBeam:
    """Tests with Apache Beam itself, skipped if it is not installed."""

    pytestmark = pytest.mark.filterwarnings("ignore")

    @pytest.fixture(autouse=True)
    def beam(self):
        return pytest.importorskip("apache_beam", reason="Apache Beam is not installed (pip install '.[dev-all]')")

    def test_the_direct_runner_makes_the_files_of_one_process(self, tmp_path, capfd):
        make(tmp_path / "one")
        make(tmp_path / "data", BeamWorkers("DirectRunner"))
        assert contents(tmp_path / "data") == contents(tmp_path / "one")
        captured = capfd.readouterr()
        assert captured.out == captured.err == ""

    def test_a_pipeline_that_fails_is_one_line_and_a_log(self, tmp_path, monkeypatch):
        monkeypatch.setattr(apache_beam_workers, "_spooled", lambda function, item, spool: spool / f"{item.name}.item")
        with pytest.raises(WorkerError, match="the pipeline on DirectRunner failed: .*is not there on the worker") as raised:
            make(tmp_path / "data", BeamWorkers("DirectRunner"))
        assert "\n" not in str(raised.value)
        assert "Traceback" in next((tmp_path / "data").glob(".pairs.making/*/beam.log")).read_text()

    def test_wrong_names_and_values_are_named(self):
        with pytest.raises(UnknownNameError, match="unknown runner 'DirectRuner'; did you mean DirectRunner"):
            BeamWorkers("DirectRuner")
        with pytest.raises(UnknownNameError, match="unknown option 'direct_num_worker'; did you mean direct_num_workers"):
            BeamWorkers("DirectRunner", ["--direct_num_worker=2"])
        with pytest.raises(WorkerError, match="--direct_num_workers: invalid int value: 'x'"):
            BeamWorkers("DirectRunner", ["--direct_num_workers=x"])
        with pytest.raises(WorkerError, match="--runner=no.such.Runner: No module named 'no'"):
            BeamWorkers("no.such.Runner")
