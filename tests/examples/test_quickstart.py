"""The notebook: its cells run in order on a short training, and what is committed of its outputs is small and of no machine."""

import json
import os
import re

import pytest


@pytest.fixture
def notebook(root):
    return root / "examples" / "quickstart.ipynb"


def outputs(cells):
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def test_the_committed_outputs_are_whole_small_and_of_no_machine(notebook):
    text = notebook.read_text()
    cells = json.loads(text)["cells"]
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    found = outputs(cells)
    assert not [output for output in found if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in found) >= 4  # curves, pictures, experts
    assert len(text) < 1_000_000
    said = " ".join(str(output.get("text", output.get("data", {}).get("text/plain", ""))) for output in found)
    assert not re.search(r"/(home|work|tmp|root|usr)/", said)


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(notebook, root, monkeypatch):
    """Without MM_RUN it trains, so few steps here that outputs are poor."""
    nbclient = pytest.importorskip("nbclient", reason="the notebook's test needs the extra dev-all")
    import nbformat

    monkeypatch.setenv("MM_STEPS", "12")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("MM_RUN", raising=False)
    book = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(book, timeout=900, kernel_name="python3").execute()
    printed = "".join(output.get("text", "") for output in outputs(book.cells))
    assert all(f"{name}\n" in printed for name in ("mini_class", "mini_caption", "mini_speech", "mini_parse", "mini_enfr_rev"))
    assert "'one two three' becomes" in printed
    assert sum("image/png" in output.get("data", {}) for output in outputs(book.cells)) >= 4
