"""The plan that a run by the clock leaves behind: on how many steps its schedules counted, and where it was evaluated."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import re

from t2t_multimodel.config import TrainingConfig

WARM_UP_SHARE = 0.1  # the largest share of the planned steps in which the learning rate warms up
_ITEM = re.compile(r"(\d+):(\d+|evaluate)")


@dataclasses.dataclass
class StepPlan:
    """What was decided by the clock. A run that follows the same plan has the same learning rates and evaluations.

    Attributes:
        totals: pairs (step, total) by step: from `step` on, schedules are those of a run of `total` steps.
        evaluations: the steps that were evaluated beside the multiples of eval_every.
    """

    totals: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    evaluations: list[int] = dataclasses.field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> StepPlan:
        """Returns the plan that `str` wrote, as "10:980 20:1041 260:evaluate"; raises ValueError for any other text."""
        plan = cls()
        for item in text.replace(",", " ").split():
            found = _ITEM.fullmatch(item)
            if not found or int(found[1]) <= (plan.totals[-1][0] if found[2] != "evaluate" and plan.totals else -1):
                raise ValueError(f"must be as 10:980 20:1041 260:evaluate, with growing steps, got {item!r}")
            if found[2] == "evaluate":
                plan.evaluations.append(int(found[1]))
            else:
                plan.totals.append((int(found[1]), int(found[2])))
        return plan

    def __str__(self) -> str:
        items = [(step, str(total)) for step, total in self.totals] + [(step, "evaluate") for step in self.evaluations]
        return " ".join(f"{step}:{what}" for step, what in sorted(items))

    def until(self, step: int) -> StepPlan:
        """Returns the part of the plan that decided the first `step` steps and their evaluations."""
        totals = [(begin, total) for begin, total in self.totals if begin < step]
        return StepPlan(totals, [each for each in self.evaluations if each < step])

    def total(self, step: int) -> int | None:
        """Returns the number of steps that schedules count on after `step` steps, or None before the first decision."""
        place = bisect.bisect_right(self.totals, step, key=lambda pair: pair[0])
        return self.totals[place - 1][1] if place else None

    def fitted(self, step: int, config: TrainingConfig) -> TrainingConfig:
        """Returns `config` with the train_steps that hold after `step` steps, and a warm-up of at most a tenth of them.

        Before the first decision it is `config` itself.
        """
        total = self.total(step)
        return config if total is None else _fitted(config, total)


@functools.lru_cache(maxsize=4)
def _fitted(config: TrainingConfig, total: int) -> TrainingConfig:
    warmup = min(config.warmup_steps, round(WARM_UP_SHARE * total))
    return dataclasses.replace(config, train_steps=total, warmup_steps=warmup)
