"""An answer as HTML: the output, its rivals, probabilities as bars, a drawn tree, the experts and the time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from t2t_multimodel.data.trees import linearise, read_tree
from t2t_multimodel.features import ProblemSpec, is_tree
from t2t_multimodel.reports.tree_drawing import draw_tree
from t2t_multimodel.serving.service import Answer, Output
from t2t_multimodel.utils.errors import DataError

NOTHING = "(nothing)"
MOST_EXPERTS = 8
# The colours are those of Gradio's theme, light and dark.
CSS = """
.mm { --mm-soft: color-mix(in srgb, var(--body-text-color) 72%, transparent); }
.mm h4 { margin: 1.3rem 0 .5rem; font-size: .85rem; font-weight: 600; color: var(--mm-soft); }
.mm .out { font-size: 1.45rem; line-height: 1.35; margin: 0; overflow-wrap: anywhere; font-weight: 600; }
.mm .out.long { font-size: 1rem; font-weight: 500; font-family: ui-monospace, monospace; }
.mm .soft { color: var(--mm-soft); font-size: .85rem; margin: .4rem 0 0; }
.mm .note { border-left: 3px solid #d9952b; padding-left: .6rem; margin: .7rem 0 0; font-size: .9rem; }
.mm .error { border-left: 4px solid #c2410c; background: color-mix(in srgb, #c2410c 9%, transparent); padding: .7rem .8rem;
  border-radius: 6px; overflow-wrap: anywhere; }
.mm .bars { display: grid; grid-template-columns: minmax(5rem, max-content) 1fr 3.4rem; gap: .35rem .7rem; align-items: center; }
.mm .bars .track { height: .8rem; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; }
.mm .bars .bar { height: 100%; border-radius: 4px; background: #2f7fc1; min-width: 2px; }
.mm .bars .number { text-align: right; font-variant-numeric: tabular-nums; font-size: .9rem; }
.mm .best { display: grid; grid-template-columns: max-content 1fr; gap: .3rem .7rem; overflow-wrap: anywhere; font-size: .95rem; }
.mm .best .number { font-variant-numeric: tabular-nums; color: var(--mm-soft); text-align: right; }
.mm .tree { overflow-x: auto; padding: .3rem 0; contain: inline-size; }
.mm .tree svg { max-width: 100%; min-width: calc(var(--mm-drawn) * .62); height: auto; display: block;
  fill: var(--body-text-color); }
.mm .empty { color: var(--mm-soft); padding: 2.2rem 0; text-align: center; }
"""


def answer_html(answer: Answer, spec: ProblemSpec, step: int) -> str:
    """Returns an answer as an HTML element.

    Args:
        answer: from Service.
        spec: its problem's spec.
        step: the training step of the weights.
    """
    best = answer.outputs[0]
    parts = [_output(_shown(best), is_tree(spec.targets)), *(f'<p class="note">{escape(note)}</p>' for note in answer.notes)]
    if best.probability is not None:
        parts += ["<h4>Probabilities</h4>", _bars([(_shown(output), output.probability or 0.0) for output in answer.outputs])]
    if is_tree(spec.targets) and (drawn := drawing(best.text)):
        parts += ["<h4>Parse tree</h4>", _tree(drawn)]
    if best.probability is None and len(answer.outputs) > 1:
        parts += ["<h4>The best outputs and their scores (log-probabilities)</h4>", _n_best(answer.outputs)]
    if answer.experts:
        parts += ["<h4>Experts that read the input, by share of the gates</h4>", _experts(answer.experts)]
    parts.append(f'<p class="soft">{escape(took(answer))} · {escape(answer.problem)} · weights of step {step:,}</p>')
    return f'<div class="mm">{"".join(parts)}</div>'


def error_html(line: str) -> str:
    """Returns an error's line as an HTML element."""
    return f'<div class="mm"><p class="error" role="alert">{escape(line)}</p></div>'


def empty_html(line: str) -> str:
    """Returns the text that is shown before there is an answer, as an HTML element."""
    return f'<div class="mm"><p class="empty">{escape(line)}</p></div>'


def took(answer: Answer) -> str:
    """Returns the time that an answer took, in words."""
    others = answer.batch_size - 1
    return f"{answer.seconds:.2f} s" + (f", together with {others} other request{'s' * (others > 1)}" if others else "")


def drawing(bracketed: str) -> str | None:
    """Returns the SVG element of a tree in Penn bracketing; None if it is no tree."""
    try:
        words, linearised = linearise(read_tree(bracketed))
    except DataError:
        return None
    return draw_tree(words, linearised)


def _tree(svg: str) -> str:
    """Returns a drawing that shrinks to the place there is, as long as its words can be read, and is scrolled beyond that."""
    width = svg.partition('width="')[2].partition('"')[0]
    return f'<div class="tree" role="img" aria-label="parse tree" style="--mm-drawn: {width}px">{svg}</div>'


def _shown(output: Output) -> str:
    return f"{output.text} ({output.words})" if output.words else output.text


def _output(text: str, long: bool) -> str:
    return f'<p class="out{" long" if long else ""}">{escape(text) or NOTHING}</p>'


def _bars(shares: Sequence[tuple[str, float]]) -> str:
    rows = [
        f'<span>{escape(name)}</span><div class="track"><div class="bar" style="width:{share:.1%}"></div></div>'
        f'<span class="number">{share:.1%}</span>'
        for name, share in shares
    ]
    return f'<div class="bars">{"".join(rows)}</div>'


def _n_best(outputs: Sequence[Output]) -> str:
    rows = [f'<span class="number">{output.score:.3f}</span><span>{escape(output.text) or NOTHING}</span>' for output in outputs]
    return f'<div class="best">{"".join(rows)}</div>'


def _experts(shares: Sequence[float]) -> str:
    """Returns the experts with the largest shares as bars, numbered from 0, and the share of all others."""
    ranked = sorted(enumerate(shares), key=lambda pair: -pair[1])
    shown = [(f"expert {number}", share) for number, share in ranked[:MOST_EXPERTS]]
    rest = ranked[MOST_EXPERTS:]
    if rest:
        shown.append((f"{len(rest)} others", sum(share for _, share in rest)))
    return _bars(shown)
