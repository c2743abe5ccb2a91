"""A program for tests that kill it: trains a run. Arguments: DATA_DIR OUTPUT_DIR STEPS HPARAMS."""

import contextlib
import io
import sys
from pathlib import Path

from t2t_multimodel.cli.quiet import quiet_tensorflow

quiet_tensorflow()

from absl import logging  # noqa: E402
from PIL import Image as Picture  # noqa: E402

from t2t_multimodel.cli.console_log import console_logging  # noqa: E402
from t2t_multimodel.config import HParams  # noqa: E402
from t2t_multimodel.data.generation.generate import generate  # noqa: E402
from t2t_multimodel.features import Image, Label  # noqa: E402
from t2t_multimodel.runs.launch import Terminated, train_run  # noqa: E402
from t2t_multimodel.testing import fake_problem  # noqa: E402

COLOURS = ("red", "green", "blue")


def picture(i: int) -> bytes:
    """Returns a PNG of one colour with a black corner."""
    image = Picture.new("RGB", (20, 18), COLOURS[i % 3])
    image.paste("black", (0, 0, 4 + i % 5, 9))
    with io.BytesIO() as file:
        image.save(file, "PNG")
        return file.getvalue()


PROBLEMS = [
    fake_problem("k_copy", [{"inputs": "abcd"[: i % 4 + 1], "targets": "abcd"[: i % 4 + 1]} for i in range(40)]),
    fake_problem(
        "k_picture",
        [{"inputs": picture(i), "targets": COLOURS[i % 3]} for i in range(30)],
        Image(16, 16, augment=("crop", "flip")),
        Label(COLOURS, "colours"),
    ),
]
# With all that could differ after a kill: noise, dropout, augmentation, a schedule that evaluations change, averages.
HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=2,mixer_blocks=1,decoder_blocks=1,num_experts=4,moe_k=2,moe_hidden_size=16,"
    "categorical_sizes=8:8,image_channels=4:8,dropout=0.2,output_norm=true,batch_tokens=48,batch_images=7,vocab_size=290,"
    "target_noise=0.2,eval_every=16,eval_steps=1,eval_samples=0,save_every=8,learning_rate=0.01,warmup_steps=4,"
    "problem_schedule=adaptive,adaptive_power=2,ema_decay=0.9"
)


def main() -> None:
    """Makes the records if there are none, and trains."""
    data_dir, output_dir, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    generate(PROBLEMS, data_dir, data_dir, 290, num_shards=2, report=lambda line: None)
    logging.set_verbosity(logging.INFO)
    with console_logging(), contextlib.suppress(Terminated):
        train_run(PROBLEMS, "tiny", HPARAMS.override(sys.argv[4], train_steps=steps), data_dir, output_dir)


if __name__ == "__main__":
    main()
