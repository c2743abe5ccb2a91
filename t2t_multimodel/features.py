"""Descriptions of a problem's inputs and targets, which can be written as JSON.

They describe the data only. `modalities/` define how a model reads a feature, `data/records.py` how a record holds it. A
`ProblemSpec` has everything that decoding needs to know about a problem; it is written to `config.json`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypedDict

NORMALIZATIONS = ("nfc", "spaces", "none")
# The normalization of records and runs whose files do not name one.
UNNAMED_NORMALIZATION = "spaces"
# sacreBLEU's tokenizers. Those with mecab or flores in their names need further packages or files.
BLEU_TOKENIZERS = ("13a", "intl", "zh", "char", "ja-mecab", "ko-mecab", "spm", "flores101", "flores200", "none")
WER_IGNORES = ("case", "punctuation", "noises", "wsj")


@dataclasses.dataclass(frozen=True)
class Text:
    """A sentence, a caption, a transcript (`format="plain"`) or a linearised parse tree (`format="tree"`).

    Raw: str. In a record: int64 token ids without the end-of-sequence id. In a batch: int32 [B, L], where each row ends with id 1
    and is padded with 0.

    Attributes:
        format: "plain" or "tree".
        normalization: the form of plain text in records and before decoding: "nfc", "spaces" or "none" (see
            data.normalization). Features that differ in it alone are equal, so that a run can go on with records made again.

    Raises:
        ValueError: there is no such normalization.
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
    float32 [B, H, W, C], standardised.

    Attributes:
        height, width: size in pixels; an image is scaled with its aspect kept, then its middle is cut out.
        channels: 1 for grey, 3 for RGB.
        augment: any of "crop" (random crop) and "flip" (left-right); they are done in training only.
    """

    kind: ClassVar[str] = "image"
    height: int = 64
    width: int = 64
    channels: int = 3
    augment: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Audio:
    """Mono sound.

    Raw: the bytes of a sound file (see data.readers.sound.kinds). In a record: 16-bit little-endian PCM bytes at `sample_rate`.
    In a batch: float32 [B, samples] from -1 to 1 (waveform) or [B, frames, bins] (log-mel spectrogram), with "inputs_length"
    int32 [B].

    Attributes:
        sample_rate: samples per second.
    """

    kind: ClassVar[str] = "audio"
    sample_rate: int = 16000


@dataclasses.dataclass(frozen=True)
class Label:
    """One class out of a set.

    Raw: the class's name (str). In a record: its index in `classes`, int64. In a batch: the indices, int32 [B].

    Attributes:
        classes: the names, in the order of their indices.
        class_set: a name for the set; problems with the same set share a modality net.
        words: what the names mean to people, one text per class, as "Border collie" for "n02106166"; empty if the names say it.
            Features that differ in it alone are equal.

    Raises:
        ValueError: there are words, but not as many as classes.
    """

    kind: ClassVar[str] = "label"
    classes: tuple[str, ...] = ()
    class_set: str = "classes"
    words: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.words and len(self.words) != len(self.classes):
            raise ValueError(f"each class needs its words; got {len(self.words)} for {len(self.classes)} classes")

    def words_of(self, name: str) -> str:
        """Returns the words of a class; "" if there are none, or no such class."""
        return self.words[self.classes.index(name)] if self.words and name in self.classes else ""

    def shown(self, name: str) -> str:
        """Returns a class as people read it: its name, with its words in parentheses if there are some."""
        return f"{name} ({words})" if (words := self.words_of(name)) else name

    def with_words(self, words: Mapping[str, str]) -> Label:
        """Returns the feature with `words`, by name of a class; classes without an entry have none."""
        found = tuple(words.get(name, "") for name in self.classes)
        return dataclasses.replace(self, words=found if any(found) else ())


Feature = Text | Image | Audio | Label
_FEATURES: dict[str, type] = {feature.kind: feature for feature in (Text, Image, Audio, Label)}


def is_tree(feature: Feature) -> bool:
    """Returns whether `feature` is a linearised parse tree."""
    return isinstance(feature, Text) and feature.format == "tree"


@dataclasses.dataclass(frozen=True)
class ProblemSpec:
    """The part of a Problem that a model, a Predictor and the scoring need.

    Attributes:
        name: the problem's registered name.
        inputs, targets: the two features.
        target_space: name of the command token that starts the decoder, such as "to_english"; problems may share it.
        metrics: metrics of decoded outputs: "bleu", "chrf", "ter", "wer", "cer", "cider", "parse_f1". Loss and accuracies are
            always measured.
        loss_weight: factor on this problem's loss.
        bleu_tokenizer: sacreBLEU's tokenizer for BLEU, such as "zh"; "" chooses by the language.
        wer_ignores: differences that word and character error rates ignore: "case", "punctuation", "noises", "wsj".
        records: name of the record files; "" in runs of versions that did not keep it.
        reversed: whether inputs and targets change places when the records are read.
    """

    name: str
    inputs: Feature
    targets: Feature
    target_space: str
    metrics: tuple[str, ...] = ()
    loss_weight: float = 1.0
    bleu_tokenizer: str = dataclasses.field(default="", compare=False)
    wer_ignores: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    records: str = dataclasses.field(default="", compare=False)
    reversed: bool = dataclasses.field(default=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns the spec as a dict that can be written as JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("inputs", "targets"):
            values[name] = {"kind": values[name].kind, **dataclasses.asdict(values[name])}
        values |= {name: list(values[name]) for name in ("metrics", "wer_ignores")}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ProblemSpec:
        """Returns the spec that `to_dict` turned into `values`."""
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
    """A batch of examples of one problem, padded with zeros, or the TensorSpecs of one.

    Attributes:
        inputs: int32 ids [B, S], float32 pixels [B, H, W, C], or float32 sound [B, samples] or [B, frames, bins].
        inputs_length: int32 [B], the lengths of sounds in samples or frames.
        targets: int32 ids [B, T] or int32 classes [B]. A row of zeros, or of class NO_LABEL, fills a fixed shape and counts
            nowhere.
        references: string [B, N], in evaluation, all right outputs if there are several.
        sources: in place of the inputs, one batch of inputs per problem of a ProblemSwitch.
    """

    inputs: Any
    inputs_length: Any
    targets: Any
    references: Any
    sources: tuple[Batch, ...]


class ProblemSwitch(NamedTuple):
    """A choice, made in the graph, between problems with the same target modality and different inputs.

    It takes the place of a problem's name. A batch then has "sources" in place of "inputs" and "inputs_length": one dict of
    inputs per problem. Only the chosen problem's are read; the others may be empty, except under JAX, which needs equal shapes.

    Attributes:
        problems: the names of the problems.
        chosen: int32 scalar tensor, an index into `problems`.
    """

    problems: tuple[str, ...]
    chosen: Any
