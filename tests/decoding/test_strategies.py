"""Strategies on a language of a few words whose probabilities depend on the word before: all outputs can be listed."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling, _likeliest

EOS, WORDS = 1, 5  # ids 2, 3, 4 are words, 0 is padding
LIMIT = 4


def table(seed, sharpness=2.0):
    """Returns log P(next | last) as [last, next]. The first row is the start. Padding is impossible."""
    logits = sharpness * np.random.default_rng(seed).normal(size=(WORDS, WORDS))
    logits[:, 0] = -1e9
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def run(strategy, *tables, limits=None):
    """Returns the strategy's outputs for one sentence per table, and the number of steps."""
    limits = np.array(limits or [LIMIT] * len(tables), np.int32)
    stacked, length = tf.constant(np.stack(tables)), int(limits.max())
    found, position = strategy.start(len(tables), length, tf.constant(limits)), 0
    while not np.all(found.done):
        log_probs = tf.gather(stacked, found.last, batch_dims=1)
        found, _ = strategy.advance(found, log_probs, tf.constant(position), tf.constant(limits))
        position += 1
    ids, scores = strategy.result(found, tf.constant(limits))
    return ids.numpy(), scores.numpy(), position


def outputs(log_probs, limit=LIMIT):
    """Yields (ids, log-probability, whether it has ended) for every output of at most `limit` tokens."""
    for length in range(1, limit + 1):
        for words in itertools.product((2, 3, 4), repeat=length - 1):
            for last in (EOS, 2, 3, 4) if length == limit else (EOS,):
                ids = (*words, last)
                yield ids, sum(log_probs[a, b] for a, b in itertools.pairwise((0, *ids))), last == EOS


def ranked(log_probs, alpha):
    """Returns all outputs, the best first: those that ended, by penalised score, then those that were cut."""
    scored = [(ended, total / ((5 + len(ids)) / 6) ** alpha, ids) for ids, total, ended in outputs(log_probs)]
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_wide_enough_finds_the_best_of_all_outputs(seed, alpha):
    log_probs = table(seed)
    ids, scores, _ = run(BeamSearch(81, alpha, n_best=5), log_probs)
    for place, (_, score, wanted) in enumerate(ranked(log_probs, alpha)[:5]):
        assert tuple(i for i in ids[0, place] if i) == wanted
        assert scores[0, place] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_outputs_are_different_ended_ones_first_and_sorted(seed):
    ids, scores, _ = run(BeamSearch(4, n_best=4), table(seed))
    assert len({tuple(row) for row in ids[0]}) == 4
    ended = [EOS in row for row in ids[0]]
    assert ended == sorted(ended, reverse=True)
    assert all(a >= b for a, b, both in zip(scores[0], scores[0][1:], ended[1:], strict=False) if both)


def test_a_beam_finds_what_greed_misses():
    log_probs = np.full((WORDS, WORDS), -50.0, np.float32)
    log_probs[0, [2, 3]] = np.log([0.6, 0.4])
    log_probs[2, [EOS, 2, 3, 4]] = np.log(0.25)
    log_probs[3, EOS] = 0.0
    assert run(Greedy(), log_probs)[0][0, 0, 0] == 2
    ids, scores, _ = run(BeamSearch(2, alpha=0.0), log_probs)
    assert ids[0, 0].tolist() == [3, EOS, 0, 0]
    assert scores[0, 0] == pytest.approx(np.log(0.4))


def test_it_stops_as_soon_as_no_beam_can_win():
    log_probs = table(0)
    log_probs[0] = np.log([1e-9, 0.97, 0.01, 0.01, 0.01])
    assert run(BeamSearch(2), log_probs, limits=[50])[2] <= 3
    rarely_ends = np.log(np.full((WORDS, WORDS), [1e-9, 1e-6, 0.4, 0.3, 0.3], np.float32))
    assert run(BeamSearch(2), rarely_ends, limits=[12])[2] == 12


def test_sentences_of_a_batch_do_not_touch_each_other():
    tables, limits = [table(seed) for seed in range(5)], [4, 1, 9, 6, 2]
    ids, scores, _ = run(BeamSearch(3, n_best=2), *tables, limits=limits)
    for row, log_probs in enumerate(tables):
        alone_ids, alone_scores, _ = run(BeamSearch(3, n_best=2), log_probs, limits=limits[row : row + 1])
        np.testing.assert_array_equal(ids[row, :, : limits[row]], alone_ids[0])
        assert not ids[row, :, limits[row] :].any()
        np.testing.assert_allclose(scores[row], alone_scores[0], atol=1e-6)


def test_greedy_takes_the_likeliest_and_scores_it():
    log_probs = table(3)
    ids, scores, _ = run(Greedy(), log_probs)
    last, total, wanted = 0, 0.0, []
    while len(wanted) < LIMIT and last != EOS:
        total, last = total + log_probs[last].max(), int(log_probs[last].argmax())
        wanted.append(last)
    assert [i for i in ids[0, 0] if i] == wanted
    assert scores[0, 0] == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("strategy", [Sampling(temperature=1e-4), Sampling(top_k=1), Sampling(top_p=1e-6)])
def test_sampling_that_leaves_no_choice_is_greedy(strategy):
    tables = [table(seed) for seed in range(4)]
    for found, wanted in zip(run(strategy, *tables)[:2], run(Greedy(), *tables)[:2], strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def frequencies(strategy, log_probs, draws=4000):
    """Returns how often each id is the first token, in one batch of that many sentences."""
    ids, _, _ = run(strategy, *[log_probs] * draws, limits=[1] * draws)
    return np.bincount(ids[:, 0, 0], minlength=WORDS) / draws


@pytest.mark.parametrize(
    ("strategy", "power", "kept"),
    [
        (Sampling(seed=1), 1.0, 4),
        (Sampling(temperature=0.5, seed=2), 2.0, 4),
        (Sampling(top_k=2), 1.0, 2),
        (Sampling(top_p=0.7), 1.0, 2),
    ],
)
def test_samples_are_as_frequent_as_they_are_likely(strategy, power, kept):
    log_probs = np.log(np.tile([1e-12, 0.5, 0.3, 0.15, 0.05], (WORDS, 1)).astype(np.float32))
    expected = np.exp(power * log_probs[0])
    expected[np.argsort(-expected)[kept:]] = 0
    np.testing.assert_allclose(frequencies(strategy, log_probs), expected / expected.sum(), atol=0.03)


def test_a_seed_gives_the_same_sample_again_and_another_seed_another():
    tables = [table(0, 0.1)] * 20
    first, again, other = (run(Sampling(seed=seed), *tables, limits=[6] * 20)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_xla_draws_the_same_samples():
    logits = tf.constant(np.random.default_rng(0).normal(size=(500, 40)), tf.float32)
    strategy = Sampling(temperature=0.8, top_k=20, seed=3)
    drawn, compiled = (tf.function(strategy._choose, jit_compile=xla)(logits, tf.constant(4)).numpy() for xla in (False, True))
    np.testing.assert_array_equal(drawn, compiled)
    assert len(set(drawn)) > 20


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sampling(temperature=0), "temperature must be above 0, got 0"),
        (lambda: Sampling(top_k=-1), "top_k must be 0"),
        (lambda: Sampling(top_p=0), "top_p must lie above 0 and up to 1, got 0"),
        (lambda: BeamSearch(2, n_best=3), "n_best must lie between 1 and the beam size 2, got 3"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("size", [768, 770, 100])
def test_the_likeliest_continuations_are_the_largest_values_and_the_first_of_equal_ones(size):
    totals = np.random.default_rng(0).integers(0, 40, (2, 3, size)).astype(np.float32)  # most values are equal to others
    values, rows, tokens = (found.numpy() for found in _likeliest(tf.constant(totals), 6))
    for sentence, all_values in enumerate(totals.reshape(2, -1)):
        order = np.argsort(-all_values, kind="stable")[:6]
        np.testing.assert_array_equal(values[sentence], all_values[order])
        np.testing.assert_array_equal(rows[sentence] * size + tokens[sentence], order)
