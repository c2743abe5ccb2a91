#!/usr/bin/env bash
# Apache Beam's "DirectRunner", documented as the runner inside the Python SDK, is a switch in 2.77: for a pipeline that its rules let through it
# hands the work to the PrismRunner, a Go program that is downloaded or must be installed. The runner inside the SDK has another name, FnApiRunner
# (BundleBasedDirectRunner and others beside it). Shown by which runner class the switch asks to run a small batch pipeline; nothing is downloaded.
# Exits with 0 while that is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apache-beam==2.77.0 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
"$folder/venv/bin/python" - <<'PYTHON' 2>"$folder/stderr.log" || { cat "$folder/stderr.log"; exit 1; }
import sys

import apache_beam
from apache_beam.runners.direct import direct_runner
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.portability.fn_api_runner import fn_runner

asked = []


def record(name):
    def run_pipeline(self, pipeline, options):
        asked.append(name)
        raise SystemExit

    return run_pipeline


prism_runner.PrismRunner.run_pipeline = record("PrismRunner")
fn_runner.FnApiRunner.run_pipeline = record("FnApiRunner")
pipeline = apache_beam.Pipeline(runner="DirectRunner")
pipeline | apache_beam.Create([1, 2, 3]) | apache_beam.Map(lambda value: value + 1)
try:
    pipeline.run()
except SystemExit:
    pass
print(f"apache-beam {apache_beam.__version__}: {direct_runner.DirectRunner.__name__} (switching) asks {asked[0]} first")
as_seen = asked[0] == "PrismRunner"
print("DirectRunner is Prism" if as_seen else "the behaviour has changed")
sys.exit(not as_seen)
PYTHON
