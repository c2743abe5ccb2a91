"""A run's directory: `config.json`, `vocabulary.model` and checkpoints are all that going on, scoring and decoding need."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2t_multimodel.config import HParams
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import ProblemSpec
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.version import __version__

VOCABULARY = "vocabulary.model"
CONFIG = "config.json"


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything a run was started with.

    Attributes:
        hparams_set: the name of the set of hyperparameters.
        hparams: the set's values with all overrides.
        problems: the problems that the run learns.
        vocab_size, vocabulary_sha256: size and hash of the vocabulary, which is copied into the run's directory.
        data_dir: the folder of the records when the run was started.
        version: the version of this package that started the run.
        warm_start: the output_dir of the run whose weights this one began with; "" is none.
    """

    hparams_set: str
    hparams: HParams
    problems: tuple[ProblemSpec, ...]
    vocab_size: int
    vocabulary_sha256: str
    data_dir: str
    version: str = __version__
    warm_start: str = ""

    def save(self, output_dir: Path | str) -> None:
        """Writes `config.json` into `output_dir`, whole or not at all."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["hparams"] = self.hparams.to_dict()
        values["problems"] = [spec.to_dict() for spec in self.problems]
        write_atomically(Path(output_dir) / CONFIG, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())

    @classmethod
    def load(cls, output_dir: Path | str) -> RunConfig:
        """Reads `config.json`; raises DataError if it is missing, damaged or of another version."""
        path = Path(output_dir) / CONFIG
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values["hparams"] = HParams.from_dict(values["hparams"])
            values["problems"] = tuple(ProblemSpec.from_dict(spec) for spec in values["problems"])
            return cls(**values)
        except FileNotFoundError:
            raise DataError(f"{output_dir} is no output_dir of mm-trainer: there is no {path}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is damaged or of another version: {type(error).__name__}: {error}") from None

    def differences(self, other: RunConfig) -> list[str]:
        """Returns what keeps a run of `other` from going on in this run's directory, each as "name: ours, now theirs".

        A continuation may change how long is trained, how often is evaluated and saved, and the records' folder. Everything that
        weights and the order of batches depend on must be the same.
        """
        free = {"train_steps", "eval_every", "eval_steps", "eval_samples"}
        free |= {"save_every", "save_minutes", "keep_checkpoints", "keep_best"}
        ours, theirs = self.facts(), other.facts()
        found = [f"{name}: {ours[name]}, now {theirs[name]}" for name in ours if name not in free and ours[name] != theirs[name]]
        known = {spec.name: spec for spec in self.problems}
        changed = [spec.name for spec in other.problems if known.get(spec.name, spec) != spec]
        return found + [f"the definition of {name} changed" for name in changed]

    def facts(self) -> dict[str, Any]:
        """Returns the names of the problems, the vocabulary's hash, `warm_start` and every hyperparameter, by name."""
        values = {name: value for part in self.hparams.to_dict().values() for name, value in part.items()}
        names = ",".join(spec.name for spec in self.problems)
        return {"problems": names, "vocabulary": self.vocabulary_sha256[:12], "warm_start": self.warm_start, **values}


def has_checkpoint(output_dir: Path | str) -> bool:
    """Whether a run's directory holds a checkpoint."""
    return any(Path(output_dir).glob("ckpt-*.index"))


def start_run(config: RunConfig, output_dir: Path | str, data_dir: Path | str) -> str:
    """Writes the config and the vocabulary of `data_dir` into `output_dir`, after checking that no other run is there.

    Returns:
        A line for the user if another run's config was replaced, which happens only if that run has no checkpoint; else "".

    Raises:
        DataError: `output_dir` holds checkpoints of another run; nothing is changed.
    """
    output_dir = Path(output_dir)
    trained, replaced = output_dir.is_dir() and any(output_dir.glob("ckpt-*")), ""
    if (output_dir / CONFIG).exists():
        different = RunConfig.load(output_dir).differences(config)
        if different and trained:
            raise DataError(
                f"{output_dir} holds a run with another config ({'; '.join(different[:3])}); choose another --output_dir"
            )
        if different:
            replaced = f"{output_dir} held another config ({'; '.join(different[:3])}) without a checkpoint: it is replaced"
    elif trained:
        raise DataError(f"{output_dir} holds checkpoints but no config.json; choose another --output_dir")
    output_dir.mkdir(parents=True, exist_ok=True)
    temporary = output_dir / f".{VOCABULARY}.new"
    shutil.copyfile(Path(data_dir) / VOCABULARY, temporary)
    temporary.replace(output_dir / VOCABULARY)
    config.save(output_dir)
    return replaced


def build_model(config: RunConfig) -> Model:
    """Returns the run's model, built, with initial weights that follow from the run's seed.

    The state of Python's random generator is the same afterwards.
    """
    from t2t_multimodel.models import models

    mel_bins = config.hparams.data.mel_bins
    with _python_seeded(config.hparams.training.seed):
        make = models.get(config.hparams.model.architecture)
        model = make(config.hparams.model, config.vocab_size, config.problems, mel_bins, name="multimodel")
        model.build()
    return model


@contextlib.contextmanager
def _python_seeded(seed: int) -> Iterator[None]:
    """Seeds Python's random generator inside the context. Keras draws the seeds of initial weights and noise from it."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def open_run(output_dir: Path | str, step: int | None = None) -> tuple[RunConfig, Vocabulary, Model, int]:
    """Opens a run, finished or not: its config, vocabulary, model with the weights of a checkpoint, and the checkpoint's step.

    If the run keeps moving averages of its weights (ema_decay), the model has those.

    Args:
        step: the checkpoint's step; None takes the newest.

    Raises:
        DataError: there is no run or no checkpoint, or the checkpoint is damaged or of another model.
    """
    from t2t_multimodel.training.checkpoints import Checkpoints

    config = RunConfig.load(output_dir)
    vocabulary = Vocabulary.load(Path(output_dir) / VOCABULARY)
    if vocabulary.sha256 != config.vocabulary_sha256:
        raise DataError(f"{output_dir}/{VOCABULARY} is not the vocabulary the run was trained with (see config.json)")
    model = build_model(config)
    found = Checkpoints(output_dir, model, averaged=config.hparams.training.ema_decay > 0).restore(step)
    if found is None:
        raise DataError(f"there is no checkpoint in {output_dir}; train first: mm-trainer --output_dir={output_dir} ...")
    return config, vocabulary, model, found
