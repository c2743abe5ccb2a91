"""LibriSpeech, sound to English sentence: train-clean-100, dev-clean, test-clean.

The folder `--tmp_dir`, or librispeech/ in it, holds `train-clean-100.tar.gz`, `dev-clean.tar.gz` and `test-clean.tar.gz`, or the
folder LibriSpeech/ that these archives contain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from t2t_multimodel.data.readers import archives, corpora
from t2t_multimodel.features import Audio, Text
from t2t_multimodel.problem import Example, Problem, problems
from t2t_multimodel.utils.errors import DataError

_SETS = {"train": "train-clean-100", "dev": "dev-clean", "test": "test-clean"}


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields recordings (FLAC) and their transcripts, chapter by chapter.

    A damaged recording or list of transcripts gives an "error" example. So does a recording without a transcript, or a transcript
    without a recording.

    Raises:
        DataError: an archive is missing or damaged.
    """
    check(tmp_dir)
    source = _source(corpora.folder_of("librispeech", tmp_dir), _SETS[split])
    assert source is not None  # `check` has found it
    # An archive has a chapter's transcripts before or after its recordings: whichever comes first waits here for the other.
    waiting: dict[str, dict[str, Example]] = defaultdict(dict)
    transcripts: dict[str, str] = {}
    with archives.opened(source) as archive:
        for member in archive.members():
            path = PurePosixPath(member.name)
            chapter, name = str(path.parent), path.stem
            if path.name.endswith(".trans.txt"):
                try:
                    transcripts |= _transcripts(member)
                except DataError as error:
                    yield {"error": error}
            elif path.suffix == ".flac":
                waiting[chapter][name] = corpora.file_example(member)
            for ready in [name for name in waiting[chapter] if name in transcripts]:
                yield {**waiting[chapter].pop(ready), "targets": transcripts.pop(ready)}
    for name, example in ((name, example) for chapter in waiting.values() for name, example in chapter.items()):
        origin = example.get("origin", f"{name}.flac")
        yield {"error": example.get("error") or DataError(f"{origin} has no transcript in the .trans.txt of its folder")}
    for name in transcripts:
        yield {"error": DataError(f"{source} has no {name}.flac, of which there is a transcript")}


def check(tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing archives."""
    folder = corpora.folder_of("librispeech", tmp_dir)
    missing = [f"{name}.tar.gz" for name in _SETS.values() if _source(folder, name) is None]
    corpora.require("LibriSpeech", folder, [corpora.Missing(name, "https://www.openslr.org/12/") for name in missing])


def _source(folder: Path, name: str) -> Path | None:
    sources = (folder / "LibriSpeech" / name, folder / f"{name}.tar.gz")
    return next((source for source in sources if source.exists()), None)


def _transcripts(member: archives.Member) -> dict[str, str]:
    with archives.error_context(member.origin):
        lines = archives.read(member).decode("utf-8-sig").splitlines()
        return dict(line.split(" ", maxsplit=1) for line in lines)


LIBRISPEECH = Problem(
    "librispeech_clean",
    Audio(16000),
    Text(),
    "to_english",
    generate,
    metrics=("wer",),
    splits=tuple(_SETS),
    source="LibriSpeech, www.openslr.org/12; CC BY 4.0",
    check=check,
)
problems.register(LIBRISPEECH.name, LIBRISPEECH)
