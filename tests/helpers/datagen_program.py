"""A program for tests: mm-datagen's work on a made-up corpus, as a user's own script would call it.

python datagen_program.py DATA_DIR NUM_WORKERS EXAMPLES [wait]; with "wait" it prints READY in the midst of train and stays there.
"""

import signal
import sys
import time
from pathlib import Path

from t2t_multimodel.cli import common
from t2t_multimodel.data.generation import split_writer
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Problem

split_writer._SECONDS_BETWEEN_NOTES = 0.05


def sentences(examples, waits, data_dir):
    """A generator of pairs; it may wait in the last tenth of train, when records are made."""

    def generate_split(split, tmp_dir):
        for i in range(examples if split == "train" else examples // 10):
            if waits and split == "train" and i == examples * 9 // 10 and (data_dir / ".pairs.making").exists():
                print("READY", flush=True)
                time.sleep(1000)
            yield {"inputs": f"{split} sentence number {i} of {i % 97}", "targets": f"{split} Satz Nummer {i} von {i % 89} " * 3}

    return generate_split


def run(args):
    """What mm-datagen does."""
    data_dir, num_workers, examples, *waits = args
    generator = sentences(int(examples), bool(waits), Path(data_dir))
    problem = Problem("pairs", Text(), Text(), "to_german", generator)
    generate([problem], Path(data_dir), Path("."), 400, num_shards=3, num_workers=int(num_workers))


if __name__ == "__main__":
    # A shell's job in the background is started with interrupts ignored, and so is all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    flags = common.command_flags("mm-datagen", "")
    sys.exit(common.run_command(flags, lambda args: run(sys.argv[1:]), []))
