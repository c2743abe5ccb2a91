"""The definition of a problem: its data, the source of the data, and its metrics."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from t2t_multimodel.features import BLEU_TOKENIZERS, WER_IGNORES, Feature, Label, ProblemSpec
from t2t_multimodel.registry import Registry, first_of, unknown
from t2t_multimodel.utils.errors import DataError, UnknownNameError

# Names appear in --problems, where dashes and commas separate them, and in the names of files.
NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
NAME_RULE = "a name is made of letters, digits and _ and begins with a letter, as my_problem"
T = TypeVar("T")


class Example(TypedDict, total=False):
    """A raw example of a problem. An example with `error` or `left_out` is counted, and its other fields are not read.

    Attributes:
        inputs, targets: values of the raw types of the features.
        references: all right outputs, if there are several.
        origin: the file or the line of the example, for messages.
        error: why a damaged example cannot be read.
        left_out: the reason why an example is left out on purpose.
        changes: the changes made while it was read, for example "resampled"; the manifest counts them.
        repeated: whether it is a copy of another example, by the weight of its source.
    """

    inputs: Any
    targets: Any
    references: Sequence[str]
    origin: str
    error: Exception | str
    left_out: str
    changes: Sequence[str]
    repeated: bool


Generate = Callable[[str, Path], Iterable[Example]]
Check = Callable[[Path], None]
FindClasses = Callable[[Path], tuple[str, ...]]
FindWords = Callable[[Path], Mapping[str, str]]


def _nothing_to_check(tmp_dir: Path) -> None:
    """Does nothing: the check of a problem that finds missing files only when it reads them."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One task. `dataclasses.replace` makes variants, `reverse` the other direction of a pair.

    Attributes:
        name: the name in commands and files.
        inputs, targets: the features.
        target_space: name of the command token: "to_english", "to_german", "to_parse_tree", ...
        generate: `generate(split, tmp_dir)` yields the raw examples of "train", "dev" or "test" from the files under `tmp_dir`.
            It raises DataError if a file is missing or damaged.
        metrics: metrics of decoded outputs: "bleu", "chrf", "ter", "wer", "cer", "cider", "parse_f1".
        splits: the splits that exist. If "test" turns out to have no examples, it is left out.
        records: name of the record files; "" means `name`. A reversed problem reads the forward problem's records.
        reversed: whether inputs and targets are exchanged when the records are read.
        loss_weight: factor on this problem's loss.
        source: the source of the data and its licence, in one line.
        check: `check(tmp_dir)` raises a DataError that names all missing raw files. It is called before anything is written.
        find_classes: `find_classes(tmp_dir)` returns the classes in the raw data, for targets without classes (`Label()`).
        find_words: `find_words(tmp_dir)` returns what the names of classes mean to people, by name, from the raw data; see
            features.Label. It is empty if the raw data does not say it.
        bleu_tokenizer: sacreBLEU's tokenizer for BLEU, such as "zh", "char" or "13a"; "" chooses by the targets' language.
        wer_ignores: differences that word and character error rates ignore: "case", "punctuation", "noises" (words in <> and
            []), "wsj" (as in Kaldi's filters for WSJ).
        described: a text about everything outside the code on which the records depend. If it changes, records are made again.

    Raises:
        ValueError: `bleu_tokenizer` or `wer_ignores` has an unknown name.
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
    find_words: FindWords | None = None
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
        """Returns the name of the record files that this problem reads."""
        return self.records or self.name

    def spec(self) -> ProblemSpec:
        """Returns the part of the problem that a model and a Predictor need."""
        scoring = (self.metrics, self.loss_weight, self.bleu_tokenizer, self.wer_ignores)
        return ProblemSpec(
            self.name, self.inputs, self.targets, self.target_space, *scoring, records=self.records_name, reversed=self.reversed
        )

    @classmethod
    def of_spec(cls, spec: ProblemSpec) -> Problem:
        """Returns a problem whose records can be read and scored, as a run knows it; its `generate` raises DataError."""

        def generate(split: str, tmp_dir: Path) -> Iterable[Example]:
            raise DataError(f"a run does not hold where the raw data of {spec.name} is; give --problem_file or --usr_dir")

        values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
        return cls(generate=generate, **values)

    def forward(self) -> Problem:
        """Returns the problem whose examples are in the records: itself, or the forward problem if it is reversed."""
        if not self.reversed:
            return self
        return dataclasses.replace(self, name=self.records_name, inputs=self.targets, targets=self.inputs, reversed=False)

    def with_classes(self, classes: Iterable[str]) -> Problem:
        """Returns the problem with `classes` as its targets' classes if `find_classes` is set, else the problem itself."""
        if not self.find_classes or not isinstance(self.targets, Label):
            return self
        return dataclasses.replace(self, targets=dataclasses.replace(self.targets, classes=tuple(classes)))

    def with_words(self, words: Mapping[str, str]) -> Problem:
        """Returns the problem with `words`, by name of a class, for the classes of its targets; itself if there are none."""
        if not words or not isinstance(self.targets, Label):
            return self
        return dataclasses.replace(self, targets=self.targets.with_words(words))

    def reverse(self, target_space: str, name: str = "", bleu_tokenizer: str = "") -> Problem:
        """Returns the other direction, which reads the same records.

        Args:
            target_space: name of the other direction's command token.
            name: its name; "" means this problem's name with "_rev".
            bleu_tokenizer: as in Problem.
        """
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
    """A Registry of names that can be written in --problems. A Problem must be registered under its own name."""

    def register(self, name: str, value: T) -> T:
        """Adds `value` under `name` and returns it.

        Raises:
            ValueError: the name is taken, or is not made of letters, digits and _, or is not the Problem's own.
        """
        names = [name, value.name, value.records_name] if isinstance(value, Problem) else [name]
        if wrong := next((each for each in names if not NAME.fullmatch(each)), None):
            raise ValueError(f"{self.kind} {wrong!r}: {NAME_RULE}")
        if isinstance(value, Problem) and value.name != name:
            raise ValueError(f"{self.kind} {name!r}: the Problem's own name is {value.name!r}; register it under that name")
        return super().register(name, value)


problems: Registry[Problem] = NamedRegistry("problem")
groups: Registry[tuple[str, ...]] = NamedRegistry("group of problems")


def split_names(names: str) -> list[str]:
    """Returns the names in a text, which commas or dashes separate."""
    return [name for part in names.replace("-", ",").split(",") if (name := part.strip())]


def all_names() -> list[str]:
    """Returns the names of all problems and groups: a user's own problems, the groups, and then the package's problems."""
    own = [name for name in problems.names() if _is_own(problems.get(name))]
    return [*own, *groups.names(), *(name for name in problems.names() if name not in own)]


def _is_own(problem: Problem) -> bool:
    """Returns whether a problem file describes a problem, or a module outside of this package generates its examples."""
    generate: Any = problem.generate
    while isinstance(generate, functools.partial):
        generate = generate.func
    return bool(problem.described) or not generate.__module__.startswith(f"{__name__.partition('.')[0]}.")


def resolve(names: str | Sequence[str]) -> list[Problem]:
    """Returns the problems of `names`, in order, each once.

    Args:
        names: names of problems and groups, in a sequence or in a text with commas or dashes between them.

    Raises:
        UnknownNameError: a name is neither a problem nor a group, or there is no name.
    """
    found: dict[str, Problem] = {}
    for name in split_names(names) if isinstance(names, str) else names:
        if name not in groups and name not in problems:
            raise UnknownNameError(unknown("problem", name, all_names()))
        for member in groups.get(name) if name in groups else (name,):
            found[member] = problems.get(member)
    if not found:
        raise UnknownNameError(f"no problem is named in {names!r}; there are: {first_of(all_names())}")
    return list(found.values())


def problem_of(spec: ProblemSpec) -> Problem:
    """Returns the problem of a run, with the run's classes: the one registered under its name, or else what the config holds.

    Raises:
        DataError: neither does; the config is of a version that did not keep where the records are.
    """
    if spec.name in problems:
        problem = problems.get(spec.name)
        if not isinstance(spec.targets, Label):
            return problem
        classes, words = spec.targets.classes, spec.targets.words
        return problem.with_classes(classes).with_words(dict(zip(classes, words, strict=False)))
    if not spec.records:
        raise DataError(
            f"the run's config.json is of an earlier version and does not say where the records of {spec.name} are; give "
            f"--problem_file or --usr_dir, in which {spec.name} is described"
        )
    return Problem.of_spec(spec)
