"""Tells the kind of a sound file from its first bytes."""

from __future__ import annotations

from t2t_multimodel.data.readers.sound import mpeg
from t2t_multimodel.utils.errors import DataError

READ = "WAV, RF64, W64, AIFF, AU, CAF, FLAC, OGG (Vorbis, Opus), MP3 and NIST SPHERE"
CHUNKED = ("WAV", "RF64", "W64", "AIFF", "AU", "CAF")
_BEGINNINGS = {
    b"RF64": "RF64",
    b"riff": "W64",
    b".snd": "AU",
    b"dns.": "AU",
    b"caff": "CAF",
    b"fLaC": "FLAC",
    b"OggS": "OGG",
    b"NIST": "SPHERE",
}
_NOT_READ = {
    b"\x1aE\xdf\xa3": "a Matroska or WebM file",
    b"0&\xb2u": "a Windows Media file",
    b"#!AM": "an AMR file",
    b"MThd": "a MIDI file",
    b"Crea": "a VOC file",
    b"wvpk": "a WavPack file",
    b"MAC ": "a Monkey's Audio file",
    b"ajkg": "a shorten file without a SPHERE header",
}


def kind_of(content: bytes, name: str) -> str:
    """Returns "WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "SPHERE" or "MP3".

    Raises:
        DataError: `content` is of another kind.
    """
    beginning, form = content[:4], content[8:12]
    if beginning in (b"RIFF", b"RIFX") and form == b"WAVE":
        return "WAV"
    if beginning == b"FORM" and form in (b"AIFF", b"AIFC"):
        return "AIFF"
    if beginning in _BEGINNINGS:
        return _BEGINNINGS[beginning]
    if content[:3] == b"ID3" or mpeg.starts_frame(content):
        return "MP3"
    found = _NOT_READ.get(beginning)
    if content[4:8] == b"ftyp":
        found = "an M4A, MP4 or 3GP file"
    elif content[:1] == b"\xff" and content[1:2] and content[1] & 0xF6 == 0xF0:
        found = "an AAC file"
    elif content[:1] == b"\xff" and content[1:2] and content[1] & 0xE6 in (0xE4, 0xE6):
        found = "an MPEG file of layer I or II"
    if found:
        raise DataError(f"{name} is {found}; {READ} are read; convert it: ffmpeg -i IN OUT.flac")
    raise DataError(f"{name} is damaged or no sound file ({READ} are read)")
