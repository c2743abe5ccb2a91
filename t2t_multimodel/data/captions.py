"""An image with its captions, as examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from t2t_multimodel.data import archives
from t2t_multimodel.data.problem import DataError, Example


def examples(open_image: Callable[[], archives.Member], captions: Sequence[str], split: str) -> Iterator[Example]:
    """An example for each caption in training, elsewhere one with all captions as references.

    An image that is missing, or cannot be read, is an error example.
    """
    try:
        member = open_image()
        example = {"inputs": archives.read(member), "origin": member.origin}
    except DataError as error:
        yield {"error": error}
        return
    if split == "train":
        yield from ({**example, "targets": caption} for caption in captions)
    else:
        yield {**example, "targets": captions[0], "references": list(captions)}
