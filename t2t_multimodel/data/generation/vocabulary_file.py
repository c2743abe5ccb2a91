"""The vocabulary of a data_dir: made where there is none, kept while records use it, made again when all of them are.

`vocabulary.info.json` beside it says what it was learned from. A vocabulary without that file is from elsewhere, and is kept.
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
# A vocabulary does not fit a text with more byte tokens than this share, or this many times the rates of its own texts.
_MAX_BYTE_RATE, _MAX_TIMES_BYTE_RATE, _MAX_TIMES_TOKENS = 0.02, 3.0, 1.5
# The share of tree symbols that may have no id.
_MAX_UNKNOWN_SYMBOLS = 0.01


class Origin(NamedTuple):
    """What a vocabulary was learned from.

    Attributes:
        sha256: of the vocabulary.
        texts: how many of each problem.
        tokens_per_word, byte_rate: of these texts, encoded with it.
    """

    sha256: str
    texts: dict[str, int]
    tokens_per_word: float
    byte_rate: float

    def __str__(self) -> str:
        return ", ".join(f"{name} ({count:,} texts)" for name, count in self.texts.items())


class VocabularyFile:
    """`with VocabularyFile(data_dir, report) as file`: the vocabulary in use by this process.

    After an error a vocabulary that was made for records which did not come about is gone, and the one before it is back.

    Args:
        data_dir: an existing folder.
        report: takes lines for the user.
    """

    def __init__(self, data_dir: Path, report: Report) -> None:
        self.path = data_dir / FILE_NAME
        self._data_dir = data_dir
        self._info = data_dir / INFO_NAME
        self._report = report
        self._before: dict[Path, bytes] | None = None  # what was there before a vocabulary was made
        self._kept = False

    def ensure(self, learn: Callable[[Path], Origin], again: Collection[str], is_resumed: Callable[[str], bool]) -> Vocabulary:
        """The vocabulary to use, made if need be. Of two processes that make one at once, the first to end is kept.

        Args:
            learn: writes a new one to a path.
            again: the names of the records that will be made by this process.
            is_resumed: whether an interrupted run is gone on with by which the vocabulary with a sha256 was used.
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
        with contextlib.suppress(OSError):  # A file system without locks.
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
        """What the vocabulary with this sha256 was learned from, if that is known."""
        try:
            origin = Origin(**json.loads(self._info.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return origin if origin.sha256 == sha256 else None

    def _users(self, sha256: str) -> set[str]:
        """The names of the records that use a vocabulary, of those too that are being made."""
        plans = {**records.manifests(self._data_dir), **workspace_plans(self._data_dir)}
        return {name for name, plan in plans.items() if plan.get("vocabulary_sha256") == sha256}

    def _lock_alone(self) -> bool:
        """Whether no other process makes records here; none begins before the lock is shared again."""
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
    """Gives `own` the name `path`; False if another process has given it before."""
    try:
        os.link(own, path)
    except FileExistsError:
        return False
    except OSError:  # A file system without hard links.
        own.replace(path)
    return True
