"""The paper's claims in section 3, and those of the data curve, each as a difference between the figures of two runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from t2t_multimodel.experiments.catalog import FRACTIONS, limited
from t2t_multimodel.experiments.plan import Scale, alone, joint
from t2t_multimodel.experiments.statistics import Verdict, better, not_worse

MARGIN = 0.02  # in accuracy; the paper calls 66% and 67%, and 72% and 71%, similar


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim that a metric of a problem is higher in one run than in another, or not lower by more than a margin.

    Attributes:
        experiment: the name of the experiment that tests the claim.
        text: the claim as a sentence.
        first, second: the names of the two runs.
        problem, metric: the figure that is compared.
        margin: how much lower the first run may be; None if it must be higher.
    """

    experiment: str
    text: str
    first: str
    second: str
    problem: str
    metric: str = "accuracy"
    margin: float | None = None

    def test(self, figures: Mapping[tuple[str, str], Sequence[Mapping[str, float]]]) -> Verdict:
        """Returns the verdict over seeds. `figures` has, by (run, problem), one mapping of figures per seed."""
        first, second = ([row[self.metric] for row in figures[run, self.problem]] for run in (self.first, self.second))
        return better(first, second) if self.margin is None else not_worse(first, second, self.margin)


def claims(scale: Scale) -> list[Claim]:
    """Returns the paper's claims about the problems of a scale, and one for each point of the data curve."""
    image, parsing, french = scale.image, scale.parsing, scale.french
    with_image = f"{parsing}-with-{image}"
    full = "accuracy_per_sequence"
    return [
        Claim("table2", "Joint training is similar on image classes.", "joint8", f"alone-{image}", image, margin=MARGIN),
        Claim(
            "table2",
            "Joint training is similar on translation.",
            "joint8",
            f"alone-{scale.translation}",
            scale.translation,
            margin=MARGIN,
        ),
        Claim("table2", "Joint training is better on speech.", "joint8", f"alone-{scale.speech}", scale.speech),
        Claim("table2", "Joint training is better on parsing.", "joint8", f"alone-{parsing}", parsing),
        Claim("table3", "Parsing gains from image classes (accuracy).", with_image, f"alone-{parsing}", parsing),
        Claim("table3", "Parsing gains from image classes (full trees).", with_image, f"alone-{parsing}", parsing, full),
        Claim("table3", "Parsing gains more from all eight problems (accuracy).", "joint8", with_image, parsing),
        Claim("table3", "Parsing gains more from all eight problems (full trees).", "joint8", with_image, parsing, full),
        Claim("table4", "The experts do not harm image classes.", f"alone-{image}", f"no-experts-{image}", image, margin=MARGIN),
        Claim(
            "table4", "Attention does not harm image classes.", f"alone-{image}", f"no-attention-{image}", image, margin=MARGIN
        ),
        Claim("table4", "The experts improve translation.", f"alone-{french}", f"no-experts-{french}", french),
        Claim("table4", "Attention improves translation.", f"alone-{french}", f"no-attention-{french}", french),
        *(
            _at_fraction(scale, kind, problem, fraction)
            for kind, problem in (("speech", scale.speech), ("parsing", parsing))
            for fraction in FRACTIONS
        ),
    ]


def _at_fraction(scale: Scale, kind: str, problem: str, fraction: float) -> Claim:
    """Returns the claim that joint training is better at a point of the data curve."""
    together = limited(joint(scale), (scale.speech, scale.parsing), fraction)
    by_itself = limited(alone(problem), (problem,), fraction)
    text = f"Joint training is better on {kind} with {fraction:.0%} of its data."
    return Claim("data_curve", text, together.name, by_itself.name, problem)
