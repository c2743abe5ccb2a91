"""Hyperparameters: one frozen dataclass per topic, with overrides that are checked for names, types and ranges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from t2t_multimodel.hyperparameter import check, parse, rules, setting
from t2t_multimodel.registry import Registry, unknown

ARCHITECTURES = ("multimodel", "transformer")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network's hyperparameters. Defaults are the paper's (arXiv 1706.05137); docs/departures.md lists where it states none.

    `docs/hyperparameters.md` and `mm-trainer --hparams_help` show each field with its range and its meaning.

    Raises:
        ValueError: a value is out of its range, or values do not fit together.
    """

    hidden_size: int = setting(1024, "Depth D of the body, whose states are [B, L, D].", least=1)
    num_heads: int = setting(8, "Attention heads (section 2.2); they must divide hidden_size.", least=1)
    encoder_blocks: int = setting(6, "ConvBlocks in the encoder.", least=0)
    mixer_blocks: int = setting(2, "ConvBlocks in the mixer, which reads earlier outputs.", least=0)
    decoder_blocks: int = setting(4, "Pairs of a ConvBlock and an attention block in the decoder.", least=0)
    num_experts: int = setting(
        240, "Experts per mixture-of-experts layer; 0 leaves these layers out (Table 4's ablation).", least=0
    )
    moe_k: int = setting(4, "Experts selected per token, at most num_experts.", least=1)
    moe_hidden_size: int = setting(1024, "Width of an expert's hidden layer.", least=1)
    moe_noise_floor: float = setting(1e-2, "Smallest standard deviation of the gate's noise.", above=0)
    moe_capacity_factor: float = setting(
        2.0,
        "Slots of each expert as a multiple of the mean number of tokens per expert, padding included, where shapes are fixed "
        "(fixed_shapes, xla); tokens beyond them are computed in further passes.",
        above=0,
    )
    moe_drop: bool = setting(
        False,
        "Whether training with fixed_shapes or xla leaves tokens out of a mixture beyond an expert's slots instead; "
        "expert_dropped_fraction counts them.",
    )
    moe_loss_weight: float = setting(1e-2, "Weight of the importance and load losses, which balance the experts.", least=0)
    architecture: str = setting(
        "multimodel",
        "The network's body: multimodel, or transformer, a plain pre-norm Transformer to compare with (arXiv 1706.03762).",
        choices=ARCHITECTURES,
    )
    attention: bool = setting(
        True,
        "Whether the mixer and the decoder have attention blocks; without them position t reads source state t (ByteNet's "
        "aligned reading, arXiv 1610.10099), for Table 4's ablation.",
    )
    feed_forward_size: int = setting(0, "Width of the Transformer's feed-forward layers; 0 means 4 * hidden_size.", least=0)
    dropout: float = setting(0.4, "Dropout rate at the end of a ConvBlock (section 2.1).", least=0, below=1)
    dropout_on: str = setting(
        "stream",
        "Where a ConvBlock drops values: stream (its whole output, as the paper) or branch (what it adds to its input).",
        choices=("stream", "branch"),
    )
    block_gain: float = setting(0.1, "Initial gain of a ConvBlock's last layer normalisation.", least=0)
    attention_dropout: float = setting(0.0, "Dropout rate of attention weights.", least=0, below=1)
    embedding_dropout: float = setting(0.0, "Dropout rate of embedded inputs and targets.", least=0, below=1)
    target_noise: float = setting(
        0.0,
        "Probability that training replaces a token that the decoder reads by the token at that position of another example of "
        "the batch (arXiv 1703.02573), so that outputs are read from the input rather than guessed from the words before.",
        least=0,
        below=1,
    )
    output_norm: bool = setting(False, "Whether the outputs of the encoder and the decoder are layer-normalised.")
    scale_embeddings: bool = setting(True, "Whether embeddings are multiplied by sqrt(hidden_size).")
    tie_embeddings: bool = setting(False, "Whether the output projection is the embedding table.")
    image_channels: tuple[int, ...] = setting(
        (32, 64, 128, 256),
        "Depths of the image net's steps (section 2.5.2); one more step of depth hidden_size follows.",
        least=1,
        count=(2, math.inf),
    )
    image_stem_stride: int = setting(2, "Stride of the image net's first step, in pixels.", least=1)
    categorical_sizes: tuple[int, ...] = setting(
        (1536, 2048), "The last two widths of the categorical net (section 2.5.3).", least=1, count=(2, 2)
    )
    audio_input: str = setting("spectrogram", "What the audio net reads (section 2.5.4).", choices=("spectrogram", "waveform"))
    audio_blocks: int = setting(8, "ConvRes blocks of the audio net; each halves the time axis.", least=0)
    audio_min_channels: int = setting(
        2, "Smallest depth of an audio block (the paper has 2, so the i-th block has 2^i channels).", least=1
    )
    audio_frequency: str = setting(
        "keep",
        "Positions of the audio net's output: keep (one per frame and frequency bin, as the paper) or fold (one per frame).",
        choices=("keep", "fold"),
    )
    precision: str = setting(
        "float32",
        "Type of activations and products; weights, router, softmax, the statistics of normalisation and the loss stay in "
        "float32 (arXiv 1710.03740), and float16 trains with a loss scale.",
        choices=("float32", "bfloat16", "float16"),
    )
    recompute: bool = setting(
        False,
        "Whether the gradient computes the inside of ConvBlocks, attention blocks and experts again instead of keeping it "
        "(arXiv 1604.06174): less memory, more time, the same gradient.",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.hidden_size % self.num_heads:
            raise ValueError(f"num_heads={self.num_heads} must divide hidden_size={self.hidden_size}")
        if self.num_experts and self.moe_k > self.num_experts:
            raise ValueError(f"moe_k={self.moe_k} must not be above num_experts={self.num_experts}")

    @property
    def dtype_policy(self) -> str:
        """Returns the name of Keras's dtype policy for `precision`."""
        return self.precision if self.precision == "float32" else f"mixed_{self.precision}"


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The hyperparameters of records and batches; see `ModelConfig`."""

    vocab_size: int = setting(8192, "Pieces of the vocabulary that all problems share.", least=1)
    batch_tokens: int = setting(4096, "Most positions of a text batch, inputs and targets with their padding.", least=1)
    batch_images: int = setting(64, "Examples of an image batch.", least=1)
    batch_seconds: float = setting(60.0, "Most seconds of sound in an audio batch, with padding.", above=0)
    max_length: int = setting(
        256, "Longest text in tokens; longer training examples are left out, longer inputs are cut when decoding.", least=1
    )
    max_seconds: float = setting(
        20.0, "Longest sound in seconds; longer training examples are left out, longer inputs are cut when decoding.", above=0
    )
    fixed_shapes: bool = setting(
        False,
        "Whether every batch is padded to one of a few declared shapes, by rows of weight 0 and up to the lengths of its bucket, "
        "for compilers and accelerators; losses and gradients stay the same, and --strategy=tpu always does it.",
    )
    shuffle_buffer: int = setting(20000, "Examples held in memory for shuffling.", least=1)
    train_fractions: str = setting(
        "", 'Parts of the problems\' training examples that are used, as "parse:0.1 speech:0.05"; a part of a name is enough.'
    )
    mel_bins: int = setting(80, "Frequency bins of the log-mel spectrogram.", least=1)
    frame_ms: float = setting(25.0, "Window of the spectrogram in milliseconds.", least=1, most=1000)
    hop_ms: float = setting(10.0, "Milliseconds between two frames of the spectrogram.", least=1, most=1000)
    speed_perturbation: float = setting(
        0.0,
        "Change x of the speed of sounds in training: each is heard at the speed 1 - x, 1 or 1 + x (Ko et al. 2015: 0.1), but "
        "not slower where that would make it longer than max_seconds.",
        least=0,
        most=0.5,
    )
    noise_probability: float = setting(0.0, "Part of the sounds that get white noise in training.", least=0, most=1)
    noise_snr: tuple[int, ...] = setting(
        (10, 30),
        "Least and largest ratio of the powers of a sound and its noise in decibels; it is drawn evenly.",
        least=-20,
        most=100,
        count=(2, 2),
    )
    frequency_masks: int = setting(
        0, "Frequency masks in each spectrogram in training (SpecAugment, arXiv 1904.08779: 1 or 2).", least=0, most=100
    )
    frequency_mask_width: int = setting(15, "Most bins of a frequency mask (SpecAugment's F, 15 or 27 of 80 bins).", least=0)
    time_masks: int = setting(0, "Time masks in each spectrogram in training (SpecAugment: 1 or 2).", least=0, most=100)
    time_mask_width: int = setting(40, "Most frames of a time mask (SpecAugment's T, 70 or 100).", least=0)
    time_mask_fraction: float = setting(
        0.2, "Most of a sound's frames that a time mask covers (SpecAugment's p, 0.2 or 1).", least=0, most=1
    )

    def __post_init__(self) -> None:
        check(self)
        if self.noise_snr[0] > self.noise_snr[1]:
            raise ValueError(f"noise_snr is the least and the largest ratio, got {self.noise_snr[0]}:{self.noise_snr[1]}")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The hyperparameters of optimisation, of the schedule of problems, and of checkpoints; see `ModelConfig`."""

    train_steps: int = setting(100_000, "Steps over all problems together.", least=0)
    learning_rate: float = setting(1e-3, "Peak learning rate, which learning_rate_schedule multiplies.", least=0)
    learning_rate_schedule: str = setting(
        "rsqrt",
        "Decay after warmup_steps of linear warm-up; exp10k, exp50k, exp100k and exp500k are tensor2tensor's "
        "(see learning_rate in training/optimizer.py).",
        choices=("constant", "rsqrt", "noam", "cosine", "exp", "exp10k", "exp50k", "exp100k", "exp500k"),
    )
    warmup_steps: int = setting(3000, "Steps to the peak learning rate.", least=0)
    decay_steps: int = setting(
        0, "With cosine: steps to final_learning_rate, 0 means train_steps; with exp: steps to fall by decay_rate.", least=0
    )
    decay_rate: float = setting(0.5, "With exp: factor by which the rate falls every decay_steps.", above=0)
    final_learning_rate: float = setting(0.02, "With cosine: last rate as a fraction of the peak.", least=0, most=1)
    optimizer: str = setting(
        "adam",
        "adam, or adafactor (arXiv 1804.04235), whose moments take little memory and whose learning_rate is relative to a "
        "variable's size: about 0.01.",
        choices=("adam", "adafactor"),
    )
    beta1: float = setting(0.9, "Adam's decay of the gradient's mean.", least=0, below=1)
    beta2: float = setting(0.98, "Adam's decay of the gradient's mean square.", least=0, below=1)
    epsilon: float = setting(1e-8, "Adam's addend to the root of the mean square.", above=0)
    clip_norm: float = setting(2.0, "Largest global norm of the gradient; 0 switches clipping off.", least=0)
    label_smoothing: float = setting(0.1, "Probability that the loss takes from the right token and spreads.", least=0, below=1)
    problem_schedule: str = setting(
        "uniform",
        "How a step's problem is chosen; worker_per_problem, for --strategy=parameter_server alone, keeps one step of each "
        "problem under way.",
        choices=("uniform", "proportional", "temperature", "round_robin", "adaptive", "worker_per_problem"),
    )
    temperature: float = setting(2.0, "With temperature: probability is proportional to size ** (1 / temperature).", above=0)
    adaptive_power: float = setting(
        1.0, "With adaptive: probability is proportional to (dev loss / first dev loss) ** adaptive_power.", least=0
    )
    problem_weights: str = setting(
        "", 'Factors on the problems\' probabilities, as "caption:2 speech:3"; a part of a name is enough.'
    )
    problems_per_step: int = setting(1, "Problems that a step mixes; its gradient is the mean of theirs.", least=1)
    accumulate_steps: int = setting(
        1,
        "Batches of each problem that make one step, as if they were one large batch; one more gradient is held in memory where "
        "this or problems_per_step is above 1.",
        least=1,
    )
    xla: bool = setting(
        False,
        "Whether XLA compiles the step, once per shape of a batch (fixed_shapes makes these few); on a CPU its depthwise "
        "convolutions are far slower.",
    )
    ema_decay: float = setting(
        0.0,
        "Decay of moving averages of the weights, with which a run is evaluated and decoded; 0 keeps none.",
        least=0,
        below=1,
    )
    seed: int = setting(1, "Seed of initial weights, order of problems and examples, noise and dropout.", least=0, most=2**32 - 1)
    eval_every: int = setting(2000, "Steps between evaluations.", least=1)
    eval_steps: int = setting(20, "Batches of each problem per evaluation; 0 means the whole split.", least=0)
    eval_samples: int = setting(3, "Examples of each problem that an evaluation decodes and shows.", least=0)
    save_every: int = setting(0, "Steps between checkpoints; 0 saves before each evaluation.", least=0)
    save_minutes: float = setting(10.0, "Minutes without a checkpoint after which one is written as well; 0: never.", least=0)
    keep_checkpoints: int = setting(3, "Newest checkpoints that are kept.", least=1)
    dev_metric: str = setting(
        "loss",
        "Metric by which checkpoints are the best and problems stop.",
        choices=("loss", "accuracy", "accuracy_per_sequence"),
    )
    keep_best: str = setting(
        "all",
        "Best checkpoints that are kept as well: for the mean over the problems, for each problem, all of these, or none.",
        choices=("all", "mean", "problems", "none"),
    )
    early_stop_patience: int = setting(
        0,
        "Evaluations in a row without an improvement after which a problem is no longer trained; 0 trains all to the end.",
        least=0,
    )
    early_stop_min_delta: float = setting(
        0.0, "Smallest difference of dev_metric that counts as an improvement for early stopping.", least=0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclasses.dataclass(frozen=True)
class HParams:
    """A set of hyperparameters in three parts. A name is in one part only, so that an override needs no prefix."""

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for name in ("frequency_masks", "time_masks"):
            if getattr(self.data, name) and self.model.audio_input == "waveform":
                raise ValueError(f"{name}={getattr(self.data, name)} masks spectrograms; audio_input=waveform has none")

    @property
    def has_fixed_capacity(self) -> bool:
        """Returns whether training knows the experts' capacity before tokens are routed."""
        return self.data.fixed_shapes or self.training.xla

    def override(self, text: str = "", **values: Any) -> HParams:
        """Returns a copy with some values changed.

        Args:
            text: "name=value,name=value"; a tuple is written "1536:2048".
            **values: further changes, as Python values of the right type.

        Raises:
            ValueError: a name is unknown (the message has the nearest), a value has the wrong type or is out of its choices or
                bounds, or values do not fit together.
        """
        changes: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "training": {}}
        for name, value in [*_pairs(text), *values.items()]:
            part = self._part_of(name)
            kind, _ = rules(type(getattr(self, part)))[name]
            changes[part][name] = parse(name, value, kind)
        return HParams(**{part: dataclasses.replace(getattr(self, part), **new) for part, new in changes.items()})

    def to_dict(self) -> dict[str, Any]:
        """Returns the set as a dict of one dict per part, which can be written as JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HParams:
        """Returns the set that `to_dict` turned into `values`. Values that are missing get their defaults."""
        flat: dict[str, Any] = {name: value for part in values.values() for name, value in part.items()}
        changes: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in flat.items()}
        return cls().override("", **changes)

    def _part_of(self, name: str) -> str:
        parts = {field: part for part in ("model", "data", "training") for field in vars(getattr(self, part))}
        if name not in parts:
            raise ValueError(unknown("hyperparameter", name, sorted(parts)))
        return parts[name]


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"hyperparameters are given as name=value, got {item!r}; mm-trainer --hparams_help lists them")
        pairs.append((name.strip(), value.strip()))
    return pairs


hparams_sets: Registry[Callable[[], HParams]] = Registry("hparams set")


def get_hparams(set_name: str, overrides: str = "") -> HParams:
    """Returns the registered set `set_name` with `overrides` applied.

    Raises:
        UnknownNameError: there is no such set.
        ValueError: as in `HParams.override`.
    """
    return hparams_sets.get(set_name)().override(overrides)
