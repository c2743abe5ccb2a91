"""LibriSpeech, sound to English sentence: train-clean-100, dev-clean, test-clean.

In `--tmp_dir`, or its folder librispeech/: `train-clean-100.tar.gz`, `dev-clean.tar.gz` and `test-clean.tar.gz`, or the folder
LibriSpeech/ that they hold.
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
    """Recordings (FLAC) and their transcripts, a chapter behind the other.

    A recording or a list of transcripts that is damaged, or one of the two without the other, is an error example; raises
    DataError where an archive is missing or damaged.
    """
    check(tmp_dir)
    place = _place(corpora.folder_of("librispeech", tmp_dir), _SETS[split])
    assert place is not None  # `check` has found it
    # A chapter's recordings wait for its transcripts, or these for them: an archive has them in either order.
    waiting: dict[str, dict[str, Example]] = defaultdict(dict)
    transcripts: dict[str, str] = {}
    with archives.opened(place) as archive:
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
        yield {"error": DataError(f"{place} has no {name}.flac, of which there is a transcript")}


def check(tmp_dir: Path) -> None:
    """Raises a DataError that lists what is missing."""
    folder = corpora.folder_of("librispeech", tmp_dir)
    absent = [f"{name}.tar.gz" for name in _SETS.values() if _place(folder, name) is None]
    corpora.require("LibriSpeech", folder, [corpora.Missing(name, "https://www.openslr.org/12/") for name in absent])


def _place(folder: Path, name: str) -> Path | None:
    places = (folder / "LibriSpeech" / name, folder / f"{name}.tar.gz")
    return next((place for place in places if place.exists()), None)


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
