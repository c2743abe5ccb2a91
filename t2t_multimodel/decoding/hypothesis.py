"""The outputs of a Predictor."""

from __future__ import annotations

from typing import NamedTuple

from t2t_multimodel.decoding.forced import PairScore


class Hypothesis(NamedTuple):
    """One output for an input.

    Attributes:
        text: a text, the name of a class, or a tree.
        score: a log-probability, for beams divided by the length penalty (see strategies); higher is better.
        well_formed: whether a tree is a tree over exactly the input's words; None for other outputs.
        words: the words of a class, see features.Label; "" if there are none.
        pair: the log-probabilities of the tokens of a text or tree, and where the model looks, if they were asked for.
    """

    text: str
    score: float
    well_formed: bool | None = None
    words: str = ""
    pair: PairScore | None = None


class Prediction(NamedTuple):
    """The outputs for one input.

    Attributes:
        outputs: the hypotheses, the best first.
        tokens: the number of tokens in the best.
        seconds: the batch's decoding time divided by its number of inputs.
        experts: the share of each of the encoder's experts in the input's gates, if it was asked for.
        source: the tokens that the model read of a text, if it was asked where it looks; [] for pictures and sound.
    """

    outputs: list[Hypothesis]
    tokens: int
    seconds: float
    experts: tuple[float, ...] = ()
    source: list[str] = []
