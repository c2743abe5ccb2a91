"""The constraint to trees: every output is a tree, whatever the scores are, and every tree is allowed."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.data.trees import well_formed
from t2t_multimodel.decoding.constraints import WellFormedTrees
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling

# "(Y" has no closing bracket in this vocabulary, so it must never be written.
SYMBOLS = {"(S": 3, ")S": 4, "(NP": 5, ")NP": 6, "DT": 7, "NN": 8, "(Y": 9}
NAMES = {i: symbol for symbol, i in SYMBOLS.items()}
SIZE, EOS = 12, 1
TREES = WellFormedTrees(SYMBOLS, SIZE)


def run(strategy, words, limits, seed):
    """Returns the outputs for sentences of so many words under random scores that favour brackets."""
    limits, words, width = tf.constant(limits), tf.constant(words), strategy.width
    found = strategy.start(len(words), int(tf.reduce_max(limits)), limits)
    tree, random, position = TREES.start(tf.repeat(words, width)), np.random.default_rng(seed), 0
    while not np.all(found.done):
        logits = random.normal(size=(len(words) * width, SIZE)) * 3 + 3 * np.isin(np.arange(SIZE), [3, 5, 9])
        log_probs = tf.nn.log_softmax(tf.constant(logits, tf.float32))
        allowed = TREES.allowed(tree, tf.repeat(limits, width) - position)
        log_probs = tf.reshape(tf.where(allowed, log_probs, -1e9), (-1, width, SIZE))
        found, parents = strategy.advance(found, log_probs, tf.constant(position), limits)
        if parents is not None:
            rows = tf.reshape(parents + width * tf.range(len(words))[:, None], [-1])
            tree = tf.nest.map_structure(lambda values, rows=rows: tf.gather(values, rows), tree)
        tree = TREES.advance(tree, tf.reshape(found.last, [-1]))
        position += 1
    return strategy.result(found, limits).ids.numpy()[:, 0]


def text(ids):
    return " ".join(NAMES[i] for i in itertools.takewhile(EOS.__ne__, map(int, ids)))


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3), Sampling(seed=4)])
@pytest.mark.parametrize("seed", range(5))
def test_every_output_is_a_tree_over_its_words_and_ends_in_time(strategy, seed):
    words = np.array([1, 2, 5, 9, 20, 3], np.int32)
    limits = TREES.shortest(words) + np.array([0, 0, 1, 9, 40, 200], np.int32)
    for ids, count in zip(run(strategy, words, limits, seed), words, strict=True):
        assert EOS in ids
        assert well_formed(text(ids), count), text(ids)


def reachable(words, remaining, tree, written=()):
    """Returns all outputs that the constraint allows."""
    allowed = TREES.allowed(tree, tf.constant([remaining]))[0].numpy().nonzero()[0].tolist()
    assert allowed
    for token in allowed:
        if token == EOS:
            yield text(written)
        else:
            after = TREES.advance(tree, tf.constant([token]))
            yield from reachable(words, remaining - 1, after, (*written, token))


@pytest.mark.parametrize(("words", "room"), [(1, 6), (2, 7)])
def test_all_well_formed_trees_that_fit_are_let_through_and_nothing_else(words, room):
    found = list(reachable(words, room, TREES.start(tf.constant([words]))))
    usable = [symbol for symbol in SYMBOLS if symbol != "(Y"]
    every = (" ".join(tokens) for length in range(room) for tokens in itertools.product(usable, repeat=length))
    assert sorted(found) == sorted(tokens for tokens in every if well_formed(tokens, words))
