"""Asks whether mini8's captions are read from the picture or guessed from the words before. Prints JSON.

python benchmarks/caption_prefix.py --output_dir=RUN --data_dir=DATA

Every picture of dev has things whose size, colour and shape never occur together in training. The model predicts the size, colour
and shape of each of them after the right words, then after words of which one is replaced: the thing's colour by each other
colour, or its size by the other. The picture stays. Where shapes get better after a wrong colour, they were guessed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from t2t_multimodel.cli.quiet import quiet_tensorflow  # noqa: E402

quiet_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from t2t_multimodel.cli.common import load_registries  # noqa: E402
from t2t_multimodel.data.pipeline import evaluation_batches  # noqa: E402
from t2t_multimodel.data.vocabulary import Vocabulary  # noqa: E402
from t2t_multimodel.problem import resolve  # noqa: E402
from t2t_multimodel.runs.run_config import open_run  # noqa: E402

NAME = "mini_caption"
Words = tuple[str, str, str]


def main() -> None:
    """Prints how often size, colour and shape are right after each kind of words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, metavar="RUN", help="a run that learned mini_caption")
    parser.add_argument("--data_dir", type=Path, required=True, metavar="DATA", help="its records")
    args = parser.parse_args()
    load_registries()
    from t2t_multimodel.problems.mini_world import COLOURS, HELD_OUT, SIZES

    config, vocabulary, model, step = open_run(args.output_dir)
    other_size = dict(zip(SIZES, reversed(SIZES), strict=True))
    changes: dict[str, Callable[[Words], list[Words]]] = {
        "right words": lambda words: [words],
        "another colour": lambda words: [(words[0], colour, words[2]) for colour in COLOURS if colour != words[1]],
        "the other size": lambda words: [(other_size[words[0]], *words[1:])],
    }
    held_out = [tuple(thing) for thing in HELD_OUT]
    found: dict[str, list[list[bool]]] = {name: [] for name in changes}
    for batch in evaluation_batches(resolve(NAME)[0], args.data_dir, config.hparams):
        encoded = model.encode(batch["inputs"], problem=NAME)
        ids = batch["targets"].numpy()
        seen = list(things(ids, held_out, vocabulary))
        for name, change in changes.items():
            cases = [(row, place, words, read) for row, place, words in seen for read in change(words)]
            found[name] += right(model, encoded, ids, cases, vocabulary)
    parts = ("size", "colour", "shape")
    shares = {name: dict(zip(parts, np.mean(rows, axis=0).round(3).tolist(), strict=True)) for name, rows in found.items()}
    print(json.dumps({"step": step, "things": len(found["right words"]), "right": shares}, indent=1))


def things(targets: np.ndarray, held_out: list[Words], vocabulary: Vocabulary) -> Iterator[tuple[int, int, Words]]:
    """Yields (row, position of its size, words) for each thing of `held_out` in targets [B, T]; each word is one token."""
    by_ids = {tuple(vocabulary.encode(" ".join(words))): words for words in held_out}
    for row, ids in enumerate(targets.tolist()):
        for place in range(len(ids) - 2):
            if words := by_ids.get(tuple(ids[place : place + 3])):
                yield row, place, words


def right(
    model: Any, encoded: Any, ids: np.ndarray, cases: list[tuple[int, int, Words, Words]], vocabulary: Vocabulary
) -> list[list[bool]]:
    """Returns for each case whether size, colour and shape are predicted right.

    Args:
        encoded: a batch's pictures, from `model.encode`.
        ids: the batch's targets, int32 [B, T].
        cases: row, position of the size, the right words, and the words that stand there instead.
    """
    rows = [row for row, *_ in cases]
    targets = ids[rows]
    for target, (_, place, _, read) in zip(targets, cases, strict=True):
        target[place : place + 3] = vocabulary.encode(" ".join(read))
    copies = encoded._replace(states=tf.gather(encoded.states, rows), mask=tf.gather(encoded.mask, rows))
    predicted = np.argmax(model.decode(copies, tf.constant(targets), problem=NAME), axis=-1)
    return [
        (predicted[i, place : place + 3] == vocabulary.encode(" ".join(words))).tolist()
        for i, (_, place, words, _) in enumerate(cases)
    ]


if __name__ == "__main__":
    main()
