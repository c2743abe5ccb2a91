"""Reads members of archives (tar, tgz, zip) and of unpacked folders in the same way, without unpacking anything to disk.

Archives come from elsewhere: a member is refused if it calls itself `../x` or `/x`, or if it is larger than its kind can be.
"""

from __future__ import annotations

import abc
import codecs
import contextlib
import functools
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import composed, look_alike

# The largest image, recording or file of trees; in no corpus that is read here is one even half as large.
MAX_BYTES = 64 << 20
# The largest text; the larger half of WMT's giga corpus has 4 GB.
MAX_TEXT_BYTES = 16 << 30
MAX_LINE_BYTES = 1 << 20
# Text compresses to about a tenth of its size, a decompression bomb to a thousandth.
MAX_EXPANSION = 100

_MEBIBYTE = 1 << 20
_DAMAGE = (
    *(OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(RuntimeError, ValueError, LookupError, TypeError, ArithmeticError, struct.error),
)


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: its path in the archive, with "/" between folders.
        origin: its name in messages: the archive and the path.
        size: its size in bytes, as the archive declares it.
        open: opens its content. A member of a compressed tar must be opened before the next one is asked for.
        encoding: the encoding of a text, by one of Python's names for it; a byte-order mark is not part of the text.
    """

    name: str
    origin: str
    size: int
    open: Callable[[], BinaryIO]
    encoding: str = "utf-8"


class Archive(abc.ABC):
    """The interface of folders, tar files and zip files. `origin` is the archive's name in messages."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    @abc.abstractmethod
    def members(self) -> Iterator[Member]:
        """Yields all files: an archive's in its own order, a folder's sorted by name.

        Raises:
            DataError: the archive is damaged.
        """

    def open(self, name: str) -> Member:
        """Returns the member `name`. A tar file is read up to it, and also accepts the end of a member's name.

        Letters of a name may be composed or decomposed.

        Raises:
            DataError: there is no such member.
        """
        _refuse_outside(name, self.origin)
        for member in self.members():
            if composed(f"/{member.name}").endswith(composed(f"/{name}")):
                return member
        raise DataError(f"{self.origin} has no {name}")

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the files that were opened."""


class Folder(Archive):
    """An unpacked archive."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def members(self) -> Iterator[Member]:
        """Yields all files below the folder, in linked folders too.

        A link that leads nowhere is a member that cannot be opened.
        """
        # Names take less memory than paths: ImageNet has a million files.
        for name in sorted(_names(self._path)):
            try:
                yield self.open(name)
            except DataError as error:
                yield Member(name, str(self._path / name), 0, functools.partial(_raise, error))

    def open(self, name: str) -> Member:
        _refuse_outside(name, self.origin)
        path = self._path / name
        with error_context(str(path)):
            path = look_alike(path)
            there = path.is_file()
            target = f": it is a link to {os.readlink(path)}" if path.is_symlink() else ""
        if not there:
            raise DataError(f"{path} is missing{target}")
        return Member(name, str(path), path.stat().st_size, lambda: path.open("rb"))

    def close(self) -> None:
        pass


class Tar(Archive):
    """A tar file, compressed or not; a tar file inside of another one is made from the outer one's member."""

    def __init__(self, origin: str, file: BinaryIO) -> None:
        super().__init__(origin)
        with error_context(origin):
            self._tar = tarfile.open(fileobj=file, mode="r:*")

    def members(self) -> Iterator[Member]:
        while True:
            with error_context(self.origin):
                info = self._tar.next()
            if info is None:
                break
            if info.isreg():
                yield _checked(info.name, self.origin, info.size, functools.partial(self._extract, info))
            # tarfile keeps every header: a gigabyte for ImageNet.
            self._tar.members.clear()  # type: ignore[attr-defined]
        with error_context(self.origin):
            file = cast(BinaryIO, self._tar.fileobj)
            # A tar file ends with a block of zeros, which has been read by now. If the block is not whole, tarfile ends without
            # an error.
            if file.tell() < self._tar.offset + tarfile.BLOCKSIZE:
                raise EOFError("the end of the archive is missing")
            while file.read(_MEBIBYTE):  # The checksum is compared only at the end of the file.
                pass

    def close(self) -> None:
        self._tar.close()

    def _extract(self, info: tarfile.TarInfo) -> BinaryIO:
        return cast(BinaryIO, self._tar.extractfile(info))


class Zip(Archive):
    """A zip file."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        with error_context(self.origin):
            self._zip = zipfile.ZipFile(path)
        names = self._zip.namelist()
        self._names = {composed(name): name for name in names} | {name: name for name in names}

    def members(self) -> Iterator[Member]:
        for info in self._zip.infolist():
            if not info.is_dir():
                yield self._member(info)

    def open(self, name: str) -> Member:
        _refuse_outside(name, self.origin)
        found = self._names.get(name) or self._names.get(composed(name))
        if found is None:
            raise DataError(f"{self.origin} has no {name}")
        return self._member(self._zip.getinfo(found))

    def close(self) -> None:
        self._zip.close()

    def _member(self, info: zipfile.ZipInfo) -> Member:
        return _checked(info.filename, self.origin, info.file_size, lambda: cast(BinaryIO, self._zip.open(info)))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Yields the folder, zip file or tar file (compressed or not) at `path`, and closes it afterwards.

    Raises:
        DataError: `path` is none of them.
    """
    with contextlib.ExitStack() as stack:
        archive: Archive
        if path.is_dir():
            archive = Folder(path)
        elif path.suffix == ".zip":
            archive = Zip(path)
        else:
            with error_context(str(path)):
                file = stack.enter_context(path.open("rb"))
            archive = Tar(str(path), file)
        yield stack.enter_context(contextlib.closing(archive))


def read(member: Member, limit: int = MAX_BYTES) -> bytes:
    """Returns the content of a member.

    Raises:
        DataError: the member is damaged, cut short or larger than `limit` bytes.
    """
    _refuse_large(member.size, limit, member.origin)
    with error_context(member.origin), member.open() as file:
        content = file.read(limit + 1)
    _refuse_large(len(content), limit, member.origin)
    if len(content) < member.size:
        raise DataError(f"{member.origin} is cut short: {member.size} bytes are declared, {len(content)} are there")
    return content


def lines(member: Member, limit: int = MAX_TEXT_BYTES) -> Iterator[bytes]:
    """Yields the lines of a text in UTF-8, without line ends and without a byte-order mark; `x.gz` is unpacked.

    A line of more than `MAX_LINE_BYTES` is cut just beyond that length, so that `decoded` refuses it.

    Raises:
        DataError: the member is damaged, or has more than `limit` bytes; or it is gzipped and unpacks to more than `MAX_BYTES`
            and to more than `MAX_EXPANSION` times its own size; or it is not in its encoding, if that is another one than UTF-8.
    """
    _refuse_large(member.size, limit, member.origin)
    total = 0
    with contextlib.ExitStack() as stack, error_context(member.origin):
        file = stack.enter_context(member.open())
        if member.name.endswith(".gz"):
            file = stack.enter_context(cast(BinaryIO, gzip.GzipFile(fileobj=file)))
            limit = min(limit, max(MAX_BYTES, MAX_EXPANSION * member.size))
        if member.encoding != "utf-8":
            file = stack.enter_context(cast(BinaryIO, io.BufferedReader(_Recoded(file, member))))
        within = False  # whether a part of the line has been read
        while part := file.readline(MAX_LINE_BYTES + 1):
            part = part if total else part.removeprefix(codecs.BOM_UTF8)
            total += len(part)
            _refuse_large(total, limit, member.origin)
            if not within:
                yield part if len(part) > MAX_LINE_BYTES else part.rstrip(b"\r\n")
            within = len(part) > MAX_LINE_BYTES and not part.endswith(b"\n")


def decoded(line: bytes, name: str) -> str:
    """Returns a line as text.

    Args:
        name: the beginning of the error message.

    Raises:
        DataError: the line is not UTF-8, has zero bytes, or was cut by `lines`.
    """
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"{name} has more than {MAX_LINE_BYTES:,} bytes: is this a file of text?")
    if b"\0" in line:
        raise DataError(f"{name} is not UTF-8: it has zero bytes")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8: {error.reason}") from None


def text(member: Member) -> str:
    """Returns the whole text of a member, without a byte-order mark.

    Raises:
        DataError: as `read`; or the member is not in its encoding.
    """
    content = read(member)
    with error_context(member.origin):
        return content.decode("utf-8-sig" if member.encoding == "utf-8" else member.encoding).removeprefix("\ufeff")


class _Recoded(io.RawIOBase):
    """A stream of text in another encoding, as UTF-8."""

    def __init__(self, file: BinaryIO, member: Member) -> None:
        self._file, self._member = file, member
        self._decoder = codecs.getincrementaldecoder(member.encoding)()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            content = self._file.read(len(buffer))
            try:
                self._left = self._decoder.decode(content, final=not content).encode("utf-8", "surrogatepass")
            except UnicodeError as error:
                reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
                raise DataError(f"{self._member.origin} is not {self._member.encoding}, as encoding says: {reason}") from None
            if not content:
                break
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


@contextlib.contextmanager
def error_context(origin: str) -> Iterator[None]:
    """Turns an exception that is raised while a damaged file is read into a DataError that names the file."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{origin} cannot be read: {error.strerror}") from error
        raise DataError(f"{origin} is damaged, cut short or not in its usual format: {error}") from error


def _names(folder: Path) -> Iterator[str]:
    """Yields the paths of all files below a folder, and of links that lead nowhere; links to a folder above are not followed."""
    for place, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        folders[:] = [name for name in folders if not _is_above(os.path.join(place, name), here)]
        for name in files:
            path = Path(place, name)
            if path.is_file() or path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _is_above(path: str, here: str) -> bool:
    """Returns whether a link leads to a folder that contains `here`."""
    return os.path.islink(path) and f"{here}/".startswith(os.path.realpath(path).rstrip("/") + "/")


def _raise(error: DataError) -> BinaryIO:
    raise error


def _checked(name: str, archive: str, size: int, open_member: Callable[[], BinaryIO]) -> Member:
    _refuse_outside(name, archive)
    name = name.removeprefix("./")
    return Member(name, f"{archive}: {name}", size, open_member)


def _refuse_outside(name: str, archive: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{archive}: the name {name!r} leads out of the archive, as none of the original ones does; get it again")


def _refuse_large(size: int, limit: int, origin: str) -> None:
    if size > limit:
        raise DataError(f"{origin} has {size:,} bytes, more than the {limit:,} that can be right there; get the archive again")
