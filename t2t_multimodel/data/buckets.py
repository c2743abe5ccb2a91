"""The buckets of similar length into which examples are gathered, and the batch size of each."""

from __future__ import annotations

from typing import NamedTuple

from t2t_multimodel.config import HParams
from t2t_multimodel.features import Audio

TEXT_BOUNDS = (6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
SECOND_BOUNDS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0, 30.0)


class Buckets(NamedTuple):
    """Buckets, the shortest first. Examples beyond the last bound make batches of the last size.

    Attributes:
        bounds: the largest length in each bucket, in tokens, samples or frames.
        sizes: the examples of a batch of each bucket.
    """

    bounds: list[int]
    sizes: list[int]


def text_buckets(hparams: HParams) -> Buckets:
    """Returns the buckets of a problem that reads text, by the longer of inputs and targets."""
    config = hparams.data
    bounds = [bound for bound in TEXT_BOUNDS if bound < config.max_length] + [config.max_length]
    return Buckets(bounds, [max(1, config.batch_tokens // (2 * bound)) for bound in bounds])


def sound_buckets(feature: Audio, hparams: HParams) -> Buckets:
    """Returns the buckets of a problem that reads sound, by its length in samples, or in frames for spectrograms."""
    config = hparams.data
    rate = feature.sample_rate if hparams.model.audio_input == "waveform" else 1000.0 / config.hop_ms
    seconds = [bound for bound in SECOND_BOUNDS if bound < config.max_seconds] + [config.max_seconds]
    return Buckets([int(bound * rate) for bound in seconds], [max(1, int(config.batch_seconds / bound)) for bound in seconds])
