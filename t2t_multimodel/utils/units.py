"""The units of all figures in metrics.jsonl, tables and TensorBoard."""

from __future__ import annotations

FRACTION = "fraction, 0 to 1"
UNITS = {
    "loss": "nats per token",
    "log_perplexity": "nats per token",
    "neg_log_perplexity": "nats per token, negative",
    "accuracy": FRACTION,
    "accuracy_top5": FRACTION,
    "accuracy_per_sequence": FRACTION,
    "examples": "count",
    "bleu": "0 to 100",
    "chrf": "0 to 100",
    "ter": "edits per 100 words",
    "wer": "errors per word, 0 is best",
    "cer": "errors per character, 0 is best",
    "cider": "0 to 10",
    "parse_f1": FRACTION,
    "well_formed": FRACTION,
    "left_out_examples": FRACTION,
    "left_out_sound": FRACTION,
    "left_out_tokens": FRACTION,
}
LOWER_IS_BETTER = frozenset({"loss", "log_perplexity", "ter", "wer", "cer"})
_SHOWN = {"bleu": " of 100", "chrf": " of 100", "ter": " per 100 words", "cider": " of 10"}
_IN_PERCENT = frozenset({"wer", "cer", "parse_f1", "well_formed"})


def unit(name: str) -> str:
    """Returns the unit of a figure; "" for a figure of a user's own metric."""
    return UNITS.get(name, "")


def with_unit(name: str, value: float) -> str:
    """Returns a figure as text with its scale: "0.31 (31.0%)" for wer, "27.3 of 100" for bleu, all digits of a count."""
    if unit(name) == "count":
        return f"{value:,.0f}"
    percent = f" ({value:.1%})" if name in _IN_PERCENT else ""
    return f"{value:.4g}{percent or _SHOWN.get(name, '')}"
