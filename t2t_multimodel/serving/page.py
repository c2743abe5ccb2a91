"""The page in the browser, made with Gradio: a tab per kind of input, and the answer beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import absl.logging

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
import gradio  # noqa: E402

from t2t_multimodel.features import Audio, Image, ProblemSpec, Text  # noqa: E402
from t2t_multimodel.reports.examples import what_it_does  # noqa: E402
from t2t_multimodel.serving.answer_html import CSS, answer_html, empty_html, error_html  # noqa: E402
from t2t_multimodel.serving.limits import Limits  # noqa: E402
from t2t_multimodel.serving.service import Service  # noqa: E402
from t2t_multimodel.utils.errors import MultiModelError  # noqa: E402

# Examples of each problem: texts or files.
Examples = dict[str, list[Any]]

MOST_EXAMPLES = 24
TITLE = "One model for all problems"
EMPTY = "The answer appears here."
# Seconds after which what was uploaded is deleted, and between two looks at it.
UPLOADS_KEPT, UPLOADS_SEEN = 600, 300
_PAGE_CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
.mm-head h1 { font-size: 1.6rem; margin: .4rem 0 .2rem; } .mm-head p { margin: 0; }
#answer { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 1.1rem 1.2rem !important;
  background: var(--block-background-fill); min-height: 9rem; }
"""
# Where the answer stands below the input, the page moves there.
_SHOW = """() => { const answer = document.getElementById('answer');
  if (innerWidth < 800 && !answer.querySelector('.empty')) answer.scrollIntoView({behavior: 'smooth'}); }"""
_FONTS = ["system-ui", "sans-serif"]  # those of the browser: nothing is loaded


def make_page(service: Service, examples: Examples, folder: Path) -> Any:
    """Returns the page of a service, a gradio.Blocks.

    Args:
        service: answers.
        examples: inputs to click, by problem.
        folder: for the files of examples; it must exist.
    """
    of_kind = {
        kind: [spec for spec in service.problems.values() if isinstance(spec.inputs, kind)] for kind in (Text, Image, Audio)
    }
    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(UPLOADS_SEEN, UPLOADS_KEPT)) as page:
        gradio.HTML(_head(service))
        with gradio.Row():
            with gradio.Column(scale=5, min_width=320), gradio.Tabs():
                tabs = [_Tab(kind, specs, service, examples, folder) for kind, specs in of_kind.items() if specs]
            with gradio.Column(scale=6, min_width=320):
                answer = gradio.HTML(empty_html(EMPTY), elem_id="answer")
        for tab in tabs:
            tab.connect(answer)
    page.queue(default_concurrency_limit=None)
    return page


def mount_page(app: Any, page: Any, limits: Limits) -> None:
    """Shows a page at / of a FastAPI application."""
    theme = gradio.themes.Soft(primary_hue="blue", secondary_hue="blue", font=_FONTS, font_mono=["ui-monospace", "monospace"])
    gradio.mount_gradio_app(
        app,
        page,
        path="",
        footer_links=[],
        run_history=False,
        max_file_size=limits.upload_bytes,
        ssr_mode=False,
        theme=theme,
        css=_PAGE_CSS + CSS,
        show_error=False,
    )


class _Tab:
    """The inputs of one kind: which problem, the input, a button, examples.

    Args:
        kind: the feature of the inputs.
        specs: the problems that take it.
        service, examples, folder: see `make_page`.
    """

    def __init__(self, kind: type, specs: Sequence[ProblemSpec], service: Service, examples: Examples, folder: Path) -> None:
        self._service = service
        self._is_text = kind is Text
        name = {Text: "Sentence", Image: "Picture", Audio: "Sound"}[kind]
        with gradio.Tab(name, id=name.lower()):
            choices = [(f"{what_it_does(spec, service.problems)} ({spec.name})", spec.name) for spec in specs]
            self.problem = gradio.Radio(choices, value=specs[0].name, label="Problem", elem_id=f"problem-{name.lower()}")
            self.input = _input_of(kind, f"{name} ({service.limits.line(specs[0])})")
            self.button = gradio.Button("Answer", variant="primary", elem_id=f"answer-{name.lower()}")
            self._place = gradio.Column()
            rows = [[spec.name, example] for spec in specs for example in examples.get(spec.name, [])]
            self._rows = rows if self._is_text else _as_files(rows, folder, "png" if kind is Image else "wav")

    def connect(self, answer: Any) -> None:
        """Has the input answered in `answer`."""
        options = {"inputs": [self.problem, self.input], "outputs": answer, "api_visibility": "private"}
        function = _answerer(self._service, self._is_text)
        listeners = (self.button.click, self.problem.input, self.input.submit if self._is_text else self.input.change)
        for listener in listeners:
            listener(function, **options).then(None, js=_SHOW, api_visibility="private")
        if self._rows:
            shown: dict[str, Any] = {"visible_columns": [1], "examples_per_page": MOST_EXAMPLES}
            if self._is_text:
                labels = [f"{problem}: {text}" for problem, text in self._rows]
                shown |= {"fn": function, "outputs": answer, "run_on_click": True, "example_labels": labels}
            with self._place:
                gradio.Examples(self._rows, options["inputs"], cache_examples=False, **shown)


def _input_of(kind: type, label: str) -> Any:
    """Returns the component for inputs of a kind; pictures and sounds arrive as the paths of the files that were uploaded."""
    if kind is Text:
        return gradio.Textbox(label=label, placeholder="Type a sentence and press Enter", lines=1, max_lines=6, elem_id="text")
    if kind is Image:
        sources: list[Any] = ["upload", "webcam", "clipboard"]
        picture: Any = gradio.Image(label=label, type="filepath", sources=sources, height=260, buttons=[], elem_id="picture")
        # gradio would open the file, and fail on a damaged one with an error of its own; Service.read says what is wrong.
        picture.preprocess = lambda payload: payload.path if payload else None
        return picture
    return gradio.Audio(label=label, type="filepath", sources=["upload", "microphone"], buttons=[], elem_id="sound")


def _answerer(service: Service, is_text: bool) -> Callable[[str, str | None], str]:
    """Returns the function of a tab: HTML for a problem and a text or the path of a file."""

    def answer(problem: str, value: str | None) -> str:
        start = time.perf_counter()
        if not value:
            return empty_html(EMPTY)
        try:
            found = service.ask(problem, value if is_text else _content(value, service.limits), start)
            return answer_html(found, service.problems[problem], service.step)
        except MultiModelError as error:
            return error_html(str(error))
        except Exception:
            absl.logging.exception("the page's request for %s failed", problem)
            return error_html("the service failed on this request; its log says more")

    return answer


def _as_files(rows: list[list[Any]], folder: Path, ending: str) -> list[list[Any]]:
    """Returns the rows with the path of a file in place of its bytes."""
    paths = [folder / f"{problem} {number}.{ending}" for number, (problem, _) in enumerate(rows, 1)]
    for path, (_, content) in zip(paths, rows, strict=True):
        path.write_bytes(content)
    return [[problem, str(path)] for path, (problem, _) in zip(paths, rows, strict=True)]


def _content(path: str, limits: Limits) -> bytes:
    if Path(path).stat().st_size > limits.upload_bytes:
        raise limits.too_large()
    return Path(path).read_bytes()


def _head(service: Service) -> str:
    problems = len(service.problems)
    about = (
        f"{problems} problem{'s' * (problems > 1)}, weights of step {service.step:,}. The same as JSON: POST /api/problems/NAME."
    )
    return f'<div class="mm-head"><h1>{TITLE}</h1><p>{about}</p></div>'
