"""A program for tests: mm-trainer with two tiny problems and a tiny set, as a task of TF_CONFIG. Its arguments are the flags."""

import sys

from t2t_multimodel.cli import common, trainer
from t2t_multimodel.config import HParams, hparams_sets
from t2t_multimodel.features import Label
from t2t_multimodel.problem import problems
from t2t_multimodel.testing import fake_problem

TEXTS = ["ab", "ba", "aab", "bba"]
PROBLEMS = {
    "t_copy": fake_problem("t_copy", [{"inputs": text, "targets": text} for text in TEXTS * 3]),
    "t_topic": fake_problem(
        "t_topic", [{"inputs": text, "targets": text[0]} for text in TEXTS * 3], targets=Label(("a", "b"), "ab")
    ),
}


def tiny():
    """Returns a tiny set of hyperparameters with noise and dropout, which differ from step to step."""
    return HParams().override(
        "hidden_size=8,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=4,moe_k=2,moe_hidden_size=8,"
        "categorical_sizes=8:8,dropout=0.1,output_norm=true,batch_tokens=48,vocab_size=290,learning_rate=0.01,warmup_steps=4,"
        "eval_steps=1,learning_rate_schedule=constant"
    )


def main() -> int:
    """Runs mm-trainer; returns its exit code."""
    common.load_registries = lambda *args: None
    with problems.temporary(**PROBLEMS), hparams_sets.temporary(tiny_set=tiny):
        return trainer.main()


if __name__ == "__main__":
    sys.exit(main())
