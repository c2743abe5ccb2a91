"""The contract of a problem: what its data is, where it comes from, and what scores it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from t2t_multimodel.features import BLEU_TOKENIZERS, WER_IGNORES, Feature, Label, ProblemSpec
from t2t_multimodel.registry import Registry, unknown
from t2t_multimodel.utils.errors import UnknownNameError

# A name is written behind --problems, where dashes and commas separate names, and is part of the names of files.
NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
NAME_RULE = "a name is made of letters, digits and _ and begins with a letter, as my_problem"
T = TypeVar("T")


class Example(TypedDict, total=False):
    """A raw example of a problem; one with an error or a reason to be left out is counted, and has nothing else to be read.

    Attributes:
        inputs, targets: of the raw types that the features name.
        references: several right answers.
        origin: which file or line it is, for messages.
        error: what is wrong with a damaged example.
        left_out: why one is left out on purpose.
    """

    inputs: Any
    targets: Any
    references: Sequence[str]
    origin: str
    error: Exception | str
    left_out: str


Generate = Callable[[str, Path], Iterable[Example]]
Check = Callable[[Path], None]
FindClasses = Callable[[Path], tuple[str, ...]]


def _nothing_to_check(tmp_dir: Path) -> None:
    """The check of a problem that finds out while it reads."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One task. Make variants with `dataclasses.replace`, the other direction of a pair with `reverse`.

    Attributes:
        name: how commands call it.
        inputs, targets: the features.
        target_space: the command token: "to_english", "to_german", "to_parse_tree", ...
        generate: `generate(split, tmp_dir)` yields raw examples of "train", "dev" or "test" from the files under `tmp_dir`;
            raises DataError where something is missing or damaged.
        metrics: scores of decoded outputs: "bleu", "chrf", "ter", "wer", "cer", "cider", "parse_f1".
        splits: the splits that exist; "test" may turn out to have no examples, and is then left out.
        records: name of the record files it reads; "" means its own name. A reversed problem reads the forward one's.
        reversed: whether inputs and targets change places when the records are read.
        loss_weight: factor on this problem's loss.
        source: where the data comes from and its licence, in one line.
        check: `check(tmp_dir)` raises a DataError that names all raw files that are missing; called before anything is written.
        find_classes: `find_classes(tmp_dir)` finds the classes of targets that say of none, as `Label()`, in the raw data.
        bleu_tokenizer: sacreBLEU's tokenizer for BLEU, as "zh", "char" or "13a"; "" chooses by the language of the targets.
        wer_ignores: what word and character error rates leave out of both texts: "case", "punctuation", "noises" (words in <> and
            []), "wsj" (as Kaldi's filters for WSJ).
        described: what the records depend on besides the code, if it is not in the code; another text has them made again.
    """

    name: str
    inputs: Feature
    targets: Feature
    target_space: str
    generate: Generate
    metrics: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "dev")
    records: str = ""
    reversed: bool = False
    loss_weight: float = 1.0
    source: str = ""
    check: Check = _nothing_to_check
    find_classes: FindClasses | None = None
    described: str = ""
    bleu_tokenizer: str = ""
    wer_ignores: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bleu_tokenizer not in ("", *BLEU_TOKENIZERS):
            raise ValueError(f"problem {self.name!r}: {unknown('bleu_tokenizer', self.bleu_tokenizer, list(BLEU_TOKENIZERS))}")
        if wrong := next((name for name in self.wer_ignores if name not in WER_IGNORES), None):
            raise ValueError(f"problem {self.name!r}: {unknown('name in wer_ignores', wrong, list(WER_IGNORES))}")

    @property
    def records_name(self) -> str:
        """The name of the record files this problem reads."""
        return self.records or self.name

    def spec(self) -> ProblemSpec:
        """The part of it that a model and a decoder need."""
        scoring = (self.metrics, self.loss_weight, self.bleu_tokenizer, self.wer_ignores)
        return ProblemSpec(self.name, self.inputs, self.targets, self.target_space, *scoring)

    def forward(self) -> Problem:
        """The problem whose examples are in the records: itself, or what it is the reverse of."""
        if not self.reversed:
            return self
        return dataclasses.replace(self, name=self.records_name, inputs=self.targets, targets=self.inputs, reversed=False)

    def with_classes(self, classes: Iterable[str]) -> Problem:
        """Itself, or if its classes are to be found in the data, the same with those that were found."""
        if not self.find_classes or not isinstance(self.targets, Label):
            return self
        return dataclasses.replace(self, targets=dataclasses.replace(self.targets, classes=tuple(classes)))

    def reverse(self, target_space: str, name: str = "", bleu_tokenizer: str = "") -> Problem:
        """The other direction, read from the same records. `target_space` is the new one's command token."""
        return dataclasses.replace(
            self,
            name=name or f"{self.name}_rev",
            inputs=self.targets,
            targets=self.inputs,
            target_space=target_space,
            records=self.records_name,
            reversed=True,
            bleu_tokenizer=bleu_tokenizer,
        )


class NamedRegistry(Registry[T]):
    """A Registry whose names can be written behind --problems; a Problem is registered under its own name."""

    def register(self, name: str, value: T) -> T:
        """Adds `value` under `name` and returns it; raises ValueError for a name that is taken or cannot be written."""
        names = [name, value.name, value.records_name] if isinstance(value, Problem) else [name]
        if wrong := next((each for each in names if not NAME.fullmatch(each)), None):
            raise ValueError(f"{self.kind} {wrong!r}: {NAME_RULE}")
        if isinstance(value, Problem) and value.name != name:
            raise ValueError(f"{self.kind} {name!r}: the Problem's own name is {value.name!r}; register it under that name")
        return super().register(name, value)


problems: Registry[Problem] = NamedRegistry("problem")
groups: Registry[tuple[str, ...]] = NamedRegistry("group of problems")


def resolve(names: str | Sequence[str]) -> list[Problem]:
    """The problems that `names` (comma or dash separated, groups allowed) stand for, in order, each once.

    Raises:
        UnknownNameError: a name that is neither a problem nor a group.
    """
    parts = names.replace("-", ",").split(",") if isinstance(names, str) else names
    found: dict[str, Problem] = {}
    for name in filter(None, (part.strip() for part in parts)):
        if name not in groups and name not in problems:
            raise UnknownNameError(unknown("problem", name, problems.names() + groups.names()))
        for member in groups.get(name) if name in groups else (name,):
            found[member] = problems.get(member)
    if not found:
        raise UnknownNameError(f"no problem is named in {names!r}; there are: {', '.join(problems.names() + groups.names())}")
    return list(found.values())
