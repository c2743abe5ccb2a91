"""The limits of a request, and the lines about them."""

from __future__ import annotations

import dataclasses

from t2t_multimodel.features import Audio, Image, ProblemSpec
from t2t_multimodel.utils.errors import MultiModelError


class TooLarge(MultiModelError):
    """A request that is larger than a limit; the message names the limit."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest request that is answered.

    Attributes:
        upload_bytes: bytes of a request's body or of an uploaded file.
        pixels: pixels of a picture.
        seconds: length of a sound.
        characters: characters of a text.
        body_seconds: seconds within which a request's body must arrive.
    """

    upload_bytes: int = 16 << 20
    pixels: int = 1 << 25
    seconds: float = 60.0
    characters: int = 2000
    body_seconds: float = 20.0

    def line(self, spec: ProblemSpec) -> str:
        """Returns the limits of the problem's inputs in words."""
        if isinstance(spec.inputs, Image):
            return f"at most {megabytes(self.upload_bytes)} and {self.pixels:,} pixels"
        if isinstance(spec.inputs, Audio):
            return f"at most {megabytes(self.upload_bytes)} and {self.seconds:g} seconds"
        return f"at most {self.characters:,} characters"

    def too_large(self) -> TooLarge:
        """Returns the error for a body of too many bytes."""
        return TooLarge(f"the request is larger than the {megabytes(self.upload_bytes)} that are taken (--max_upload_mb)")

    def check_text(self, text: str) -> None:
        """Raises TooLarge if a text is too long."""
        if len(text) > self.characters:
            raise TooLarge(
                f"the text has {len(text):,} characters, more than the {self.characters:,} that are taken (--max_characters)"
            )


def megabytes(size: int) -> str:
    """Returns a number of bytes in words: "16 MB" for 16 * 2**20."""
    return f"{size / 2**20:.3g} MB"
