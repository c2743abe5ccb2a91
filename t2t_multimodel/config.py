"""Hyperparameters: frozen dataclasses by topic, with strict typed overrides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_type_hints

from t2t_multimodel.registry import Registry, unknown


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network. Defaults are the paper's (arXiv 1706.05137) or, where it is silent, those of docs/departures.md.

    Attributes:
        hidden_size: depth D of the body.
        num_heads: attention heads (section 2.2).
        encoder_blocks, mixer_blocks, decoder_blocks: ConvBlocks in the encoder and the mixer, and [ConvBlock, Attention] pairs in
            the decoder.
        num_experts: experts of each mixture-of-experts layer; 0 leaves the layers out (Table 4's ablation).
        moe_k, moe_hidden_size: experts selected for a token, and the width of an expert's hidden layer.
        moe_noise_floor, moe_loss_weight: least standard deviation of the gate's noise; weight of importance and load loss.
        dropout: rate at the end of a ConvBlock (section 2.1).
        dropout_on: "stream" (the paper: the block's whole output) or "branch" (what the block adds to its input).
        block_gain: gain of a ConvBlock's last normalisation at the start.
        attention_dropout: rate on attention weights.
        embedding_dropout: rate on the embedded inputs and targets.
        output_norm: layer normalisation of what the encoder and the decoder return.
        scale_embeddings: embeddings are multiplied by sqrt(hidden_size).
        tie_embeddings: the output projection is the embedding table.
        image_channels: depths of the image net's steps before the last one, which is hidden_size (section 2.5.2).
        image_stem_stride: stride of the image net's first step.
        categorical_sizes: the categorical net's last two widths (section 2.5.3).
        audio_input: "spectrogram" or "waveform" (section 2.5.4).
        audio_blocks: ConvRes blocks; each halves the time axis.
        audio_min_channels: least depth of an audio block (the paper: 2, so the i-th block has 2^i channels).
        precision: "float32", or "bfloat16" or "float16": activations and products in that type; weights, router, softmax,
            normalisation's statistics and loss stay in float32 (arXiv 1710.03740; "float16" trains with a loss scale).
        recompute: in training, what lies inside a ConvBlock, an attention block or the experts is computed again for the gradient
            instead of kept (arXiv 1604.06174): less memory, more time, the same gradient.
        audio_frequency: "keep" (a position per frame and frequency bin, as the paper) or "fold" (a position per frame).
    """

    hidden_size: int = 1024
    num_heads: int = 8
    encoder_blocks: int = 6
    mixer_blocks: int = 2
    decoder_blocks: int = 4
    num_experts: int = 240
    moe_k: int = 4
    moe_hidden_size: int = 1024
    moe_noise_floor: float = 1e-2
    moe_loss_weight: float = 1e-2
    dropout: float = 0.4
    dropout_on: str = "stream"
    block_gain: float = 0.1
    attention_dropout: float = 0.0
    embedding_dropout: float = 0.0
    output_norm: bool = False
    scale_embeddings: bool = True
    tie_embeddings: bool = False
    image_channels: tuple[int, ...] = (32, 64, 128, 256)
    image_stem_stride: int = 2
    categorical_sizes: tuple[int, ...] = (1536, 2048)
    audio_input: str = "spectrogram"
    audio_blocks: int = 8
    audio_min_channels: int = 2
    audio_frequency: str = "keep"
    precision: str = "float32"
    recompute: bool = False

    @property
    def dtype_policy(self) -> str:
        """The name of Keras's dtype policy for `precision`."""
        return self.precision if self.precision == "float32" else f"mixed_{self.precision}"


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Records and batches.

    Attributes:
        vocab_size: pieces of the shared vocabulary.
        batch_tokens: padded target plus input positions of a text batch, at most.
        batch_images, batch_seconds: examples of an image batch; seconds of sound in an audio batch, at most.
        max_length: longest text in tokens; longer training examples are left out, longer inputs are cut when decoding.
        max_seconds: longest sound; as max_length.
        shuffle_buffer: examples held for shuffling.
        mel_bins, frame_ms, hop_ms: the log-mel spectrogram.
    """

    vocab_size: int = 8192
    batch_tokens: int = 4096
    batch_images: int = 64
    batch_seconds: float = 60.0
    max_length: int = 256
    max_seconds: float = 20.0
    shuffle_buffer: int = 20000
    mel_bins: int = 80
    frame_ms: float = 25.0
    hop_ms: float = 10.0


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Optimisation, schedule of problems, and what is kept.

    Attributes:
        train_steps: steps over all problems together.
        learning_rate: peak rate; what `learning_rate_schedule` multiplies.
        learning_rate_schedule: "constant", "rsqrt", "noam", "cosine" or "exp", each after `warmup_steps` of linear warm-up; or
            tensor2tensor's "exp10k", "exp50k", "exp100k", "exp500k" (see training.optimizer.learning_rate).
        warmup_steps: steps to the peak.
        decay_steps: "cosine": steps to `final_learning_rate`, 0 means train_steps; "exp": steps to fall by
            the factor `decay_rate`.
        decay_rate: see decay_steps.
        final_learning_rate: last rate of "cosine" as a fraction of the peak.
        optimizer: "adam", or "adafactor" (arXiv 1804.04235), whose moments take little memory and whose `learning_rate` is
            relative to a variable's size: about 0.01.
        beta1, beta2, epsilon: Adam.
        clip_norm: bound on the global norm of the gradient; 0 switches clipping off.
        label_smoothing: probability taken from the right token.
        problem_schedule: "uniform", "proportional", "temperature", "round_robin", "adaptive" or, with
            --strategy=parameter_server alone, "worker_per_problem": one step of each problem is under way at any time.
        temperature: with "temperature", probability is proportional to size ** (1 / temperature).
        adaptive_power: with "adaptive", probability is proportional to (dev loss / first dev loss) ** adaptive_power.
        problem_weights: factors on the problems' probabilities, as "caption:2 speech:3" (a part of a name is enough).
        problems_per_step: problems that a step mixes; the gradient is the mean of theirs.
        accumulate_steps: batches of each of them that make one step, as if they were one large batch; takes room for one more
            gradient where either is above 1.
        xla: XLA compiles the step, once for each shape of a batch; on a CPU its depthwise convolutions are far slower.
        ema_decay: of moving averages of the weights, with which a run is evaluated and decoded; 0 keeps none.
        seed: of initial weights, order of problems and examples, noise and dropout.
        eval_every, eval_steps: steps between evaluations; batches of each, 0 means the whole split.
        eval_samples: examples of each problem that an evaluation decodes, for people to read.
        save_every, keep_checkpoints: steps between checkpoints (0: at each evaluation); how many are kept.
        dev_metric: "loss", "accuracy" or "accuracy_per_sequence", by which checkpoints are the best and problems stop.
        keep_best: which best checkpoints are kept besides: of the "mean" over the problems, of each of the "problems", "all" of
            these, or "none".
        early_stop_patience, early_stop_min_delta: a problem is trained no more after so many evaluations, one after another, that
            were not better by more than min_delta than the best before; 0 trains all to the end.
    """

    train_steps: int = 100_000
    learning_rate: float = 1e-3
    learning_rate_schedule: str = "rsqrt"
    warmup_steps: int = 3000
    decay_steps: int = 0
    decay_rate: float = 0.5
    final_learning_rate: float = 0.02
    optimizer: str = "adam"
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-8
    clip_norm: float = 2.0
    label_smoothing: float = 0.1
    problem_schedule: str = "uniform"
    temperature: float = 2.0
    adaptive_power: float = 1.0
    problem_weights: str = ""
    problems_per_step: int = 1
    accumulate_steps: int = 1
    xla: bool = False
    ema_decay: float = 0.0
    seed: int = 1
    eval_every: int = 2000
    eval_steps: int = 20
    eval_samples: int = 3
    save_every: int = 0
    keep_checkpoints: int = 3
    dev_metric: str = "loss"
    keep_best: str = "all"
    early_stop_patience: int = 0
    early_stop_min_delta: float = 0.0


@dataclasses.dataclass(frozen=True)
class HParams:
    """A set of hyperparameters. Names are unique over the three parts, so that an override needs no prefix."""

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)

    def override(self, text: str = "", **values: Any) -> HParams:
        """A copy with other values.

        Args:
            text: "name=value,name=value"; a tuple is written "1536:2048".
            **values: the same, as Python values of the right type.

        Raises:
            ValueError: an unknown name (the nearest are named), a value of the wrong type or out of its choices or bounds, or
                values that do not fit together.
        """
        changes: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "training": {}}
        for name, value in [*_pairs(text), *values.items()]:
            part = self._part_of(name)
            kind = get_type_hints(type(getattr(self, part)))[name]
            changes[part][name] = _parse(name, value, kind)
        changed = HParams(**{part: dataclasses.replace(getattr(self, part), **new) for part, new in changes.items()})
        _check(changed.model)
        return changed

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form, nested by part."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HParams:
        """The inverse of `to_dict`."""
        flat: dict[str, Any] = {name: value for part in values.values() for name, value in part.items()}
        changes: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in flat.items()}
        return cls().override("", **changes)

    def _part_of(self, name: str) -> str:
        parts = {field: part for part in ("model", "data", "training") for field in vars(getattr(self, part))}
        if name not in parts:
            raise ValueError(unknown("hyperparameter", name, sorted(parts)))
        return parts[name]


CHOICES = {
    "dropout_on": ("stream", "branch"),
    "audio_input": ("spectrogram", "waveform"),
    "audio_frequency": ("keep", "fold"),
    "optimizer": ("adam", "adafactor"),
    "precision": ("float32", "bfloat16", "float16"),
    "learning_rate_schedule": ("constant", "rsqrt", "noam", "cosine", "exp", "exp10k", "exp50k", "exp100k", "exp500k"),
    "problem_schedule": ("uniform", "proportional", "temperature", "round_robin", "adaptive", "worker_per_problem"),
    "dev_metric": ("loss", "accuracy", "accuracy_per_sequence"),
    "keep_best": ("all", "mean", "problems", "none"),
}
_DROPPED = ("dropout", "attention_dropout", "embedding_dropout")
LEAST: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "num_heads", "moe_k", "moe_hidden_size", "audio_min_channels"), 1),
    **dict.fromkeys(("encoder_blocks", "mixer_blocks", "decoder_blocks", "num_experts", "audio_blocks"), 0),
    **dict.fromkeys(("batch_tokens", "batch_images", "max_length", "shuffle_buffer", "mel_bins"), 1),
    **dict.fromkeys(("problems_per_step", "accumulate_steps", "eval_every", "keep_checkpoints"), 1),
    **dict.fromkeys(("train_steps", "warmup_steps", "decay_steps", "eval_steps", "eval_samples", "save_every"), 0),
    **dict.fromkeys((*_DROPPED, "learning_rate", "clip_norm", "label_smoothing", "ema_decay", "early_stop_min_delta"), 0.0),
    "early_stop_patience": 0,
}
BELOW: dict[str, Any] = dict.fromkeys((*_DROPPED, "label_smoothing", "ema_decay"), 1.0)


def _check(model: ModelConfig) -> None:
    """Raises ValueError where hyperparameters do not fit together."""
    if model.hidden_size % model.num_heads:
        raise ValueError(f"num_heads={model.num_heads} must divide hidden_size={model.hidden_size}")
    if model.num_experts and model.moe_k > model.num_experts:
        raise ValueError(f"moe_k={model.moe_k} must not be above num_experts={model.num_experts}")


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"hyperparameters are given as name=value, got {item!r}")
        pairs.append((name.strip(), value.strip()))
    return pairs


def _parse(name: str, value: Any, kind: Any) -> Any:
    try:
        parsed = _parse_text(value, kind) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"hyperparameter {name} takes {_kind_name(kind)}, got {value!r}") from None
    if isinstance(parsed, int) and not isinstance(parsed, bool) and kind is float:
        parsed = float(parsed)
    if not isinstance(parsed, _TYPES[kind]) or (isinstance(parsed, bool) and kind is not bool):
        raise ValueError(f"hyperparameter {name} takes {_kind_name(kind)}, got {value!r}")
    if name in CHOICES and parsed not in CHOICES[name]:
        raise ValueError(f"hyperparameter {name} is one of {', '.join(CHOICES[name])}, got {value!r}")
    if name in LEAST and parsed < LEAST[name]:
        raise ValueError(f"hyperparameter {name} is at least {LEAST[name]}, got {value!r}")
    if name in BELOW and not parsed < BELOW[name]:
        raise ValueError(f"hyperparameter {name} is below {BELOW[name]}, got {value!r}")
    return parsed


def _parse_text(value: str, kind: Any) -> Any:
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise ValueError(value)
        return value.lower() == "true"
    if kind == tuple[int, ...]:
        return tuple(int(part) for part in value.split(":"))
    return kind(value)


_TYPES: dict[Any, type] = {int: int, float: float, bool: bool, str: str, tuple[int, ...]: tuple}


def _kind_name(kind: Any) -> str:
    names = {int: "an integer", float: "a number", bool: "true or false", str: "a string", tuple[int, ...]: "integers as 16:32"}
    return names[kind]


hparams_sets: Registry[Callable[[], HParams]] = Registry("hparams set")


def get_hparams(set_name: str, overrides: str = "") -> HParams:
    """The registered set `set_name` with `overrides` applied."""
    return hparams_sets.get(set_name)().override(overrides)
