"""A program for tests: makes records of a made-up corpus by `generate`, as a user's own script would.

python datagen_program.py DATA_DIR NUM_WORKERS EXAMPLES [wait]: with "wait" it prints READY in the middle of train and stays.
SIGUSR1 makes it print what each of its threads is doing.
"""

import faulthandler
import itertools
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
    """Returns a problem's generate, which yields pairs; if `waits`, it waits in the last tenth of train when records are made."""

    def generate_split(split, tmp_dir):
        for i in range(examples if split == "train" else examples // 10):
            if waits and split == "train" and i == examples * 9 // 10 and (data_dir / ".pairs.making").exists():
                print("READY", flush=True)
                # A signal that arrives just before a sleep does not end it.
                for _ in itertools.count():
                    time.sleep(0.1)
            yield {"inputs": f"{split} sentence number {i} of {i % 97}", "targets": f"{split} Satz Nummer {i} von {i % 89} " * 3}

    return generate_split


def run(args):
    """Makes the records."""
    data_dir, num_workers, examples, *waits = args
    generator = sentences(int(examples), bool(waits), Path(data_dir))
    problem = Problem("pairs", Text(), Text(), "to_german", generator)
    generate([problem], Path(data_dir), Path("."), 400, num_shards=3, num_workers=int(num_workers))


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    # A shell starts its background jobs with interrupts ignored, and a process may block them; children inherit both.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    flags = common.command_flags("mm-datagen", "")
    sys.exit(common.run_command(flags, lambda args: run(sys.argv[1:]), []))
