"""mm-trainer whose clock is the CPU time of its own process: --train_minutes counts CPU minutes from the process's start.

    python benchmarks/train_by_cpu.py --train_minutes=4 [flags of mm-trainer]

On a machine that other programs use, a budget is the same work each time. benchmarks/quality.py calls it.
"""

import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from t2t_multimodel.cli import trainer as command  # noqa: E402


def main() -> int:
    """Runs mm-trainer on the flags of this command; returns its exit code."""
    from t2t_multimodel.cli.quiet import quiet_tensorflow

    quiet_tensorflow()
    from t2t_multimodel.training import trainer

    vars(trainer)["time"] = types.SimpleNamespace(monotonic=time.process_time)
    train = trainer.Trainer.train

    def train_with_the_rest(self: trainer.Trainer, until: int | None, seconds: float, *others: object) -> int:
        return train(self, until, seconds - time.process_time(), *others)  # type: ignore[arg-type]

    trainer.Trainer.train = train_with_the_rest  # type: ignore[method-assign, assignment]
    return command.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
