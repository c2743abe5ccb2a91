"""Wall Street Journal speech (LDC93S6A, LDC94S13A), sound to English sentence: si284 is train, dev93 dev, eval92 test.

The folder `--tmp_dir`, or wsj/ in it, holds either the folders wsj0/ and wsj1/, or the discs (11-1.1, ..., 11-13.1, 13-1.1, ...,
13-34.1). The discs may lie one folder deeper, like LDC93S6A/11-13.1. Names may be upper or lower case. The discs' recordings are
compressed with shorten: they need the extra `sphere`, or the program sph2pipe on the PATH.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from t2t_multimodel.data.readers import archives, corpora, sphere
from t2t_multimodel.features import Audio, Text
from t2t_multimodel.problem import Example, Problem, problems
from t2t_multimodel.utils.errors import DataError


class Index(NamedTuple):
    """A list of recordings.

    Attributes:
        disc: the disc that has the list.
        path: the list's path on the disc.
        without: a disc and the beginning of a path; recordings there are left out.
    """

    disc: str
    path: str
    without: tuple[str, str] = ("", "")


# si284 is si84 and the second corpus's si_tr_s. The recordings of speaker 401 on disc 11-2.1 are not part of it.
_INDICES = {
    "train": (
        Index("11-13.1", "wsj0/doc/indices/train/tr_s_wv1.ndx", without=("11-2.1", "wsj0/si_tr_s/401/")),
        Index("13-34.1", "wsj1/doc/indices/si_tr_s.ndx"),
    ),
    "dev": (Index("13-34.1", "wsj1/doc/indices/h1_p0.ndx"),),
    "test": (Index("11-13.1", "wsj0/doc/indices/test/nvp/si_et_20.ndx"),),
}
_TRANSCRIPTS = ("wsj0/transcrp/dots", "wsj1/trans/wsj1", "wsj0/si_et_20")
_ORIGINS = {"wsj0": "https://catalog.ldc.upenn.edu/LDC93S6A", "wsj1": "https://catalog.ldc.upenn.edu/LDC94S13A"}

_INDEX_LINE = re.compile(r"(\d+)_(\d+)_(\d+)\s*:\s*/?(\S+)")
_TRANSCRIPT_LINE = re.compile(r"(.*)\((\w{8})\)\s*")
_NOISES_TO_DROP = re.compile(r"\[(<[^\]]*|[^\]]*>|[^\]]*/|/[^\]]*)\]|[~.]")
_SPOKEN_PUNCTUATION = {"%PERCENT": "PERCENT", ".POINT": "POINT", "--DASH": "-DASH"}


class Corpus:
    """Finds the files of both corpora, on discs or in the folders wsj0/ and wsj1/.

    Args:
        folder: the folder that holds the discs or wsj0/ and wsj1/.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        subfolders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        around = [folder, *subfolders]
        discs = (path for parent in around for path in sorted(parent.glob("[0-9]*-[0-9]*.[0-9]*")) if path.is_dir())
        self._discs = {path.name: path for path in discs}

    def find(self, disc: str, path: str) -> Path | None:
        """Returns the file at `path` on `disc`, or None if there is none."""
        return corpora.find(self._discs.get(disc, self._folder), path)

    def transcript_files(self) -> Iterator[Path]:
        """Yields all files of transcripts."""
        for root in (self._folder, *self._discs.values()):
            for part in _TRANSCRIPTS:
                folder = corpora.find(root, part)
                if folder is not None:
                    yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".dot")


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields recordings (SPHERE) and their normalised transcripts.

    Training utterances come in a random order, which is the same each time. The discs have them by speaker, in runs too long for
    a shuffle buffer. A recording that is missing or damaged, or has no transcript, gives an "error" example.

    Raises:
        DataError: a list is missing or damaged, or recordings are compressed with shorten and no reader of it is installed.
    """
    check(tmp_dir)
    corpus = Corpus(corpora.folder_of("wsj", tmp_dir))
    utterances = [entry for index in _INDICES[split] for entry in _recordings(corpus, index)]
    if split == "train":
        random.Random("si284").shuffle(utterances)
    transcripts = _transcripts(corpus, {_session(Path(path).stem) for _, path in utterances})
    for disc, path in utterances:
        yield _example(corpus, disc, path, transcripts)


def check(tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing files."""
    folder = corpora.folder_of("wsj", tmp_dir)
    corpus = Corpus(folder)
    indices = {(index.disc, index.path) for indices in _INDICES.values() for index in indices}
    missing = [
        corpora.Missing(f"{path} of disc {disc}", _ORIGINS[path[:4]])
        for disc, path in sorted(indices)
        if corpus.find(disc, path) is None
    ]
    corpora.require("the WSJ speech corpus", folder, missing)


def normalised(transcript: str) -> str:
    """Returns the words of a transcript as they were spoken.

    Words are in upper case. Punctuation stays where it was read out. Noises become <NOISE> or are left out.
    """
    words = []
    for word in transcript.upper().replace("\\", "").split():
        if _NOISES_TO_DROP.fullmatch(word):
            continue
        word = _SPOKEN_PUNCTUATION.get(word, word)
        if re.search(r"\[[^\]]*\]", word):
            word = "<NOISE>"
        elif re.fullmatch(r"<[^<>]+>", word):
            word = word[1:-1]
        words.append(word)
    return " ".join(words)


def _recordings(corpus: Corpus, index: Index) -> Iterator[tuple[str, str]]:
    """Yields the disc and the path of each recording that an index lists."""
    path = corpus.find(index.disc, index.path)
    if path is None:
        raise DataError(f"{index.path} is missing")
    for number, line in _lines(path):
        if not line or line.startswith(";"):
            continue
        found = _INDEX_LINE.fullmatch(line)
        if not found:
            raise DataError(f"{path}, line {number}: {line[:60]!r} is not like 11_1_1:wsj0/si_tr_s/01i/01ic0201.wv1")
        first, second, third, recording = found.groups()
        disc = f"{first}-{second}.{third}"
        if not recording.lower().endswith(".wv1"):
            recording += ".wv1"
        if index.without != (disc, recording[: len(index.without[1])].lower()):
            yield disc, recording


def _transcripts(corpus: Corpus, sessions: Iterable[str]) -> dict[str, str | DataError]:
    """Returns the sessions' transcripts as they stand, by utterance id, and the errors of damaged files, by session."""
    wanted = set(sessions)
    found: dict[str, str | DataError] = {}
    for path in corpus.transcript_files():
        session = _session(path.stem)
        if session not in wanted or path.stem.lower() != f"{session}00":
            continue
        try:
            for number, line in _lines(path):
                parts = _TRANSCRIPT_LINE.fullmatch(line)
                if parts:
                    found[parts.group(2).lower()] = parts.group(1)
                elif line:
                    raise DataError(f"{path}, line {number}: {line[:60]!r} does not end with an utterance id, as (01ic0201)")
        except DataError as error:
            found[session] = error
    return found


def _session(utterance: str) -> str:
    """Returns the speaker, type and session of an utterance id, with which the name of its transcript file begins."""
    return utterance[:6].lower()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with archives.error_context(str(path)):
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            yield number, line.strip()


def _example(corpus: Corpus, disc: str, recording: str, transcripts: dict[str, str | DataError]) -> Example:
    if ".." in recording.split("/"):
        return {"error": DataError(f"{recording[:60]} of disc {disc} is no path on a disc")}
    path = corpus.find(disc, recording)
    if path is None:
        return {"error": DataError(f"{recording} of disc {disc} is missing")}
    name = path.stem.lower()
    transcript = transcripts.get(name) or transcripts.get(_session(name))
    if isinstance(transcript, DataError):
        return {"error": transcript}
    if transcript is None:
        return {"error": DataError(f"{path} has no transcript: {_session(name)}00.dot is missing, or has no line ({name})")}
    example = corpora.file_example(archives.Folder(path.parent).open(path.name), targets=normalised(transcript))
    if sphere.is_shortened(example.get("inputs", b"")):
        sphere.require_reader()
    return example


AUDIO_WSJ = Problem(
    "audio_wsj_tokens_8k",
    Audio(16000),
    Text(),
    "to_english",
    generate,
    metrics=("wer",),
    wer_ignores=("wsj",),
    splits=("train", "dev", "test"),
    source="WSJ0 and WSJ1, LDC93S6A and LDC94S13A, catalog.ldc.upenn.edu; for members and licensees of the LDC",
    check=check,
)
problems.register(AUDIO_WSJ.name, AUDIO_WSJ)
