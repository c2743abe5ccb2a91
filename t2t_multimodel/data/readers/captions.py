"""Makes examples of an image with its captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from t2t_multimodel.data.readers import archives, corpora
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError


def examples(open_image: Callable[[], archives.Member], captions: Sequence[str], split: str) -> Iterator[Example]:
    """Yields one example per caption for "train"; for other splits one example with all captions as references.

    An image that is missing or cannot be read is an error example.
    """
    return of_image(corpora.file_example(open_image), captions, split)


def of_image(example: Example, captions: Sequence[str], split: str) -> Iterator[Example]:
    """Yields the same as `examples` for an image that has been read. An image without captions is an error example."""
    if "error" in example:
        yield example
    elif not captions:
        yield {"error": DataError(f"{example.get('origin', 'an image')} has no caption")}
    elif split == "train":
        for caption in captions:
            yield {**example, "targets": caption}
    else:
        yield {**example, "targets": captions[0], "references": list(captions)}
