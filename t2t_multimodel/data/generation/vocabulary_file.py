"""The vocabulary of a data_dir: it is made if missing, kept while records use it, and made again if all of its records are.

`vocabulary.info.json` beside it records what it was learned from. A vocabulary without this file comes from elsewhere, and is
kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from t2t_multimodel.data import records
from t2t_multimodel.data.generation.text_counts import rates
from t2t_multimodel.data.generation.vocabulary_sample import Report
from t2t_multimodel.data.generation.workspace import workspace_plans
from t2t_multimodel.data.manifest import Manifest, features_of
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.utils.errors import WorkerError
from t2t_multimodel.utils.files import write_atomically

INFO_NAME = "vocabulary.info.json"
# A vocabulary does not fit a text whose share of byte tokens is above the first number and above the second number times the
# share in the vocabulary's own texts, or which has more tokens per word than the third number times their rate.
_MAX_BYTE_RATE, _MAX_TIMES_BYTE_RATE, _MAX_TIMES_TOKENS = 0.02, 3.0, 1.5
# The largest share of tree symbols that may have no id.
_MAX_UNKNOWN_SYMBOLS = 0.01


class Origin(NamedTuple):
    """The texts from which a vocabulary was learned.

    Attributes:
        sha256: the SHA-256 of the vocabulary.
        texts: the number of texts per problem.
        tokens_per_word, byte_rate: the rates of these texts, encoded with the vocabulary.
    """

    sha256: str
    texts: dict[str, int]
    tokens_per_word: float
    byte_rate: float

    def __str__(self) -> str:
        return ", ".join(f"{name} ({count:,} texts)" for name, count in self.texts.items())


class VocabularyFile:
    """The vocabulary that this process uses, as a context manager.

    If the block ends with an error, a vocabulary that was made for records that do not exist is removed, and the previous one is
    restored.

    Args:
        data_dir: an existing folder.
        report: takes lines for the user.
    """

    def __init__(self, data_dir: Path, report: Report) -> None:
        self.path = data_dir / FILE_NAME
        self._data_dir = data_dir
        self._info = data_dir / INFO_NAME
        self._report = report
        self._before: dict[Path, bytes] | None = None  # the files before a new vocabulary was made
        self._kept = False

    def ensure(self, learn: Callable[[Path], Origin], again: Collection[str], is_resumed: Callable[[str], bool]) -> Vocabulary:
        """Returns the vocabulary to use, and makes it if necessary. If two processes make one at once, the first to finish wins.

        Args:
            learn: writes a new vocabulary to a path.
            again: the names of the records that this process will make.
            is_resumed: returns whether this process resumes a run that used the vocabulary with a given SHA-256.
        """
        if self.path.exists():
            vocabulary = Vocabulary.load(self.path)
            sha256 = vocabulary.sha256
            used = bool(self._users(sha256) - set(again)) or is_resumed(sha256)
            if used or not self._origin(sha256) or not self._lock_alone():
                self._kept = True
                origin = self._origin(sha256)
                learned = f"learned from {origin}" if origin else "without a note of what it was learned from"
                self._report(f"{FILE_NAME}: kept, {_size(vocabulary)}, {learned}")
                return vocabulary
            self._report(f"{FILE_NAME}: made again, because all records that use it are")
        self._make(learn)
        with contextlib.suppress(OSError):
            fcntl.flock(self._folder, fcntl.LOCK_SH)
        vocabulary = Vocabulary.load(self.path)
        self._report(f"{FILE_NAME}: {_size(vocabulary)}, learned from {self._origin(vocabulary.sha256) or 'other problems'}")
        return vocabulary

    def misfits(self, manifest: Manifest) -> Iterator[str]:
        """A line for each text of the train split that the vocabulary does not fit."""
        origin = self._origin(manifest["vocabulary_sha256"])
        train, features = manifest["splits"].get("train"), features_of(manifest)
        for side, counts in (train.get("text", {}) if train else {}).items():
            place = f"{manifest['problem']}, {side}"
            per_word, byte_rate = rates(counts)
            if features[side]["format"] == "tree":
                share = counts["unknown"] / max(counts["words"], 1)
                if share > _MAX_UNKNOWN_SYMBOLS:
                    rate = f"{per_word:.2f} tokens per symbol"
                    yield f"{place}: {share:.0%} of the tree symbols have no id in {FILE_NAME}, {rate}{_ADVICE}"
                continue
            most_bytes = max(_MAX_BYTE_RATE, _MAX_TIMES_BYTE_RATE * origin.byte_rate if origin else 0.0)
            long_words = self._kept and origin and per_word > _MAX_TIMES_TOKENS * origin.tokens_per_word
            if byte_rate > most_bytes or long_words:
                own = f" (its own texts: {origin.tokens_per_word:.2f} and {origin.byte_rate:.1%})" if origin else ""
                found = f"{per_word:.2f} tokens per word, {byte_rate:.1%} of them bytes"
                yield f"{place}: {FILE_NAME} does not fit: {found}{own}{_ADVICE}"

    def __enter__(self) -> VocabularyFile:
        self._folder = os.open(self._data_dir, os.O_RDONLY)
        with contextlib.suppress(OSError):  # The file system may have no locks.
            fcntl.flock(self._folder, fcntl.LOCK_SH)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, WorkerError):
            self._take_back()
        os.close(self._folder)

    def _take_back(self) -> None:
        if self._before is None or not self.path.exists() or self._users(Vocabulary.load(self.path).sha256):
            return
        for path in (self.path, self._info):
            if path in self._before:
                write_atomically(path, self._before[path])
            else:
                path.unlink(missing_ok=True)

    def _make(self, learn: Callable[[Path], Origin]) -> None:
        own = self._data_dir / f".{FILE_NAME}.made-{os.getpid()}"
        replaced = self.path.exists()
        try:
            origin = learn(own)
            before = {path: path.read_bytes() for path in (self.path, self._info) if path.exists()}
            if replaced:
                own.replace(self.path)
            elif not _publish_first(own, self.path):
                return
            self._before = before
            write_atomically(self._info, (json.dumps(origin._asdict(), indent=1, ensure_ascii=False) + "\n").encode())
        finally:
            own.unlink(missing_ok=True)

    def _origin(self, sha256: str) -> Origin | None:
        """Returns what the vocabulary with this SHA-256 was learned from; None if that is not known."""
        try:
            origin = Origin(**json.loads(self._info.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return origin if origin.sha256 == sha256 else None

    def _users(self, sha256: str) -> set[str]:
        """Returns the names of the records that use a vocabulary, including records that are being made."""
        plans = {**records.manifests(self._data_dir), **workspace_plans(self._data_dir)}
        return {name for name, plan in plans.items() if plan.get("vocabulary_sha256") == sha256}

    def _lock_alone(self) -> bool:
        """Returns whether no other process makes records here; if so, none can begin until the lock is shared again."""
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with contextlib.suppress(OSError):
                fcntl.flock(self._folder, fcntl.LOCK_SH)
            return False
        return True


_ADVICE = "; one that fits is learned when all problems are made together in another --data_dir"


def _size(vocabulary: Vocabulary) -> str:
    return f"{vocabulary.size:,} pieces, {len(vocabulary.symbols)} of them tree symbols"


def _publish_first(own: Path, path: Path) -> bool:
    """Renames `own` to `path`; returns False if another process has done so before."""
    try:
        os.link(own, path)
    except FileExistsError:
        return False
    except OSError:  # The file system has no hard links.
        own.replace(path)
    return True
