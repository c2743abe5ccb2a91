"""What a problem's inputs and targets are: plain, serialisable descriptions.

They say what the data is. How a model reads a feature is the modality's business (`modalities/`), how a record holds it is
`data/records.py`'s. Everything a decoder needs to know of a problem is in its `ProblemSpec`, which is written to `config.json`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple, TypedDict

NORMALIZATIONS = ("nfc", "spaces", "none")
# Of records and runs whose files do not name one.
UNNAMED_NORMALIZATION = "spaces"
# sacreBLEU's; the ones with mecab and flores in their names need packages or files besides.
BLEU_TOKENIZERS = ("13a", "intl", "zh", "char", "ja-mecab", "ko-mecab", "spm", "flores101", "flores200", "none")
WER_IGNORES = ("case", "punctuation", "noises", "wsj")


@dataclasses.dataclass(frozen=True)
class Text:
    """A sentence, a caption, a transcript (`format="plain"`) or a linearised parse tree (`format="tree"`).

    Raw: str. In a record: int64 token ids, without the end-of-sequence id. In a batch: int32 [batch, length], each row ended by
    id 1 and padded with 0.

    Attributes:
        format: "plain" or "tree".
        normalization: what plain text is brought to in records and before it is decoded, "nfc", "spaces" or "none" (see
            data.normalization). Features that differ in it alone are equal: a run goes on with records that are made again.
    """

    kind: ClassVar[str] = "text"
    format: str = "plain"
    normalization: str = dataclasses.field(default="nfc", compare=False)

    def __post_init__(self) -> None:
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}, got {self.normalization!r}")


@dataclasses.dataclass(frozen=True)
class Image:
    """An image.

    Raw: the bytes of a file (JPEG, PNG and others, see data.readers.pictures). In a record: JPEG or PNG bytes. In a batch:
    float32 [batch, height, width, channels], standardised.

    Attributes:
        height, width: pixels every image is brought to (aspect kept, the middle cut out).
        augment: any of "crop" (random crop) and "flip" (left-right), done in training only.
    """

    kind: ClassVar[str] = "image"
    height: int = 64
    width: int = 64
    channels: int = 3
    augment: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Audio:
    """Mono sound. Raw: the bytes of a sound file (see data.readers.sound.kinds). In a record: 16-bit little-endian PCM bytes at
    `sample_rate` Hz. In a batch: float32 [batch, samples] in [-1, 1] (waveform) or [batch, frames, mel bins] (log-mel), with
    `inputs_length` [batch].
    """

    kind: ClassVar[str] = "audio"
    sample_rate: int = 16000


@dataclasses.dataclass(frozen=True)
class Label:
    """One class out of a set. Raw: the class's name (str). In a record and a batch: its int64/int32 index in `classes`.

    Attributes:
        classes: the names, in the order of their indices.
        class_set: a name for the set; problems with the same set share a modality net.
    """

    kind: ClassVar[str] = "label"
    classes: tuple[str, ...] = ()
    class_set: str = "classes"


Feature = Text | Image | Audio | Label
_FEATURES: dict[str, type] = {feature.kind: feature for feature in (Text, Image, Audio, Label)}


def is_tree(feature: Feature) -> bool:
    """Whether it is a linearised parse tree."""
    return isinstance(feature, Text) and feature.format == "tree"


@dataclasses.dataclass(frozen=True)
class ProblemSpec:
    """What a model and a decoder must know of a problem.

    Attributes:
        name: the problem's registered name.
        inputs, targets: the two features.
        target_space: which command token starts the decoder, as "to_english"; problems with the same one share it.
        metrics: names of the metrics that score decoded outputs: "bleu", "chrf", "ter", "wer", "cer", "cider", "parse_f1" (others
            are always there).
        loss_weight: factor on this problem's loss.
        bleu_tokenizer: sacreBLEU's tokenizer for BLEU, as "zh"; "" chooses by the language.
        wer_ignores: what word and character error rates leave out: "case", "punctuation", "noises", "wsj".
    """

    name: str
    inputs: Feature
    targets: Feature
    target_space: str
    metrics: tuple[str, ...] = ()
    loss_weight: float = 1.0
    bleu_tokenizer: str = dataclasses.field(default="", compare=False)
    wer_ignores: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("inputs", "targets"):
            values[name] = {"kind": values[name].kind, **dataclasses.asdict(values[name])}
        values |= {name: list(values[name]) for name in ("metrics", "wer_ignores")}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ProblemSpec:
        """The inverse of `to_dict`."""
        values = dict(values)
        for name in ("inputs", "targets"):
            feature = dict(values[name])
            kind = feature.pop("kind")
            if kind == Text.kind:
                feature.setdefault("normalization", UNNAMED_NORMALIZATION)
            values[name] = _FEATURES[kind](**{k: tuple(v) if isinstance(v, list) else v for k, v in feature.items()})
        values |= {name: tuple(values.get(name, ())) for name in ("metrics", "wer_ignores")}
        return cls(**values)


class Batch(TypedDict, total=False):
    """Examples of one problem, padded with zeros; or their TensorSpecs.

    Attributes:
        inputs: int32 [B, S] ids, float32 [B, H, W, C] pixels, or float32 [B, samples] or [B, frames, bins] sound.
        inputs_length: int32 [B], of sound.
        targets: int32 [B, T] ids or [B] classes.
        references: string [B, N], in evaluation, where an input has several right answers.
        sources: in place of the inputs, a batch of inputs per problem of a ProblemSwitch.
    """

    inputs: Any
    inputs_length: Any
    targets: Any
    references: Any
    sources: tuple[Batch, ...]


class ProblemSwitch(NamedTuple):
    """In place of a problem's name: one of several, whose targets have one modality and whose inputs differ.

    A batch then has "sources" in place of "inputs" and "inputs_length": for each of `problems` a dict with its own. That at
    `chosen`, an int32 scalar tensor, is read; the others may be empty (but for JAX, which wants all branches to give one shape).
    """

    problems: tuple[str, ...]
    chosen: Any
