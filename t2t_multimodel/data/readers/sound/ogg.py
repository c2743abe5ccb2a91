"""Reads the pages of OGG: checks that all are there, and finds the streams that follow each other in a chained file."""

from __future__ import annotations

from t2t_multimodel.utils.errors import DataError

_PAGE_HEADER = 27
_BEGINS, _ENDS = 2, 4


def links(content: bytes, name: str) -> list[bytes]:
    """Returns the streams of a file, each as a file of its own; most files have one.

    libsndfile reads only the first stream.

    Raises:
        DataError: a page is cut, missing or damaged, a stream lacks its last page, or several streams are interleaved.
    """
    starts: list[int] = []
    serial, expected, at = b"", -1, 0  # the open stream; -1 if none is open
    while at < len(content):
        if content[at : at + 4] != b"OggS"[: len(content) - at]:
            raise DataError(f"{name} is damaged: at byte {at} stands no page of an OGG file")
        end = _page_end(content, at)
        if end > len(content):
            raise DataError(f"{name} is cut short: its last page ends {end - len(content)} bytes behind its end")
        flags, page_serial = content[at + 5], content[at + 14 : at + 18]
        sequence = int.from_bytes(content[at + 18 : at + 22], "little")
        if expected < 0:
            if not flags & _BEGINS:
                raise DataError(f"{name} is damaged: at byte {at} begins no stream")
            starts.append(at)
            serial, expected = page_serial, sequence
        elif flags & _BEGINS and expected == 1:
            raise DataError(f"{name} has several streams side by side; take the sound out: ffmpeg -i IN.ogg -vn OUT.flac")
        elif flags & _BEGINS:
            raise DataError(f"{name} is cut short: a stream ends at byte {at} without its end-of-stream page")
        if page_serial != serial or sequence != expected:
            raise DataError(f"{name} is damaged: a page is missing before byte {at}")
        expected = -1 if flags & _ENDS else expected + 1
        at = end
    if expected >= 0:
        raise DataError(f"{name} is cut short: it ends without its end-of-stream page")
    return [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]


def _page_end(content: bytes, at: int) -> int:
    """Returns the offset after the page at `at`; an offset beyond the end of `content` if the page is cut."""
    if at + _PAGE_HEADER > len(content):
        return at + _PAGE_HEADER
    segments = content[at + _PAGE_HEADER - 1]
    table = content[at + _PAGE_HEADER : at + _PAGE_HEADER + segments]
    return at + _PAGE_HEADER + segments + sum(table)
