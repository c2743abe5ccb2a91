"""Archives and folders are read alike; members that are damaged, too large or outside of the folder are refused."""

import gzip
import io
import tarfile
import unicodedata
import zipfile

import pytest

from t2t_multimodel.data.readers import archives
from t2t_multimodel.utils.errors import DataError

FILES = {"a/one.txt": b"first\r\nsecond", "a/two.bin": bytes(range(200)) * 9, "three.txt.gz": gzip.compress(b"third\n")}


def pack(path, files=FILES):
    """Writes {name: content} as a folder, tar, tgz or zip file."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("a")
            for name, content in files.items():
                archive.writestr(name, content)
    elif path.suffix:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


KINDS = ["folder", "x.tar", "x.tgz", "x.zip"]


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_all_files_and_no_links(tmp_path, kind):
    with archives.opened(pack(tmp_path / kind)) as archive:
        assert {member.name: archives.read(member) for member in archive.members()} == FILES


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_is_found_by_name_and_its_lines_are_read(tmp_path, kind):
    path = pack(tmp_path / kind)
    with archives.opened(path) as archive:
        assert list(archives.lines(archive.open("a/one.txt"))) == [b"first", b"second"]
    with archives.opened(path) as archive:
        member = archive.open("three.txt.gz")
        assert list(archives.lines(member)) == [b"third"]
        assert str(path) in member.origin and "three.txt.gz" in member.origin
    with archives.opened(path) as archive, pytest.raises(DataError, match=r"four\.txt"):
        archive.open("a/four.txt")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_may_have_composed_or_decomposed_letters(tmp_path, kind, form):
    name = "m\u00fcll/\u00e9t\u00e9.txt"
    stored, other = unicodedata.normalize(form, name), unicodedata.normalize({"NFC": "NFD", "NFD": "NFC"}[form], name)
    path = pack(tmp_path / kind, {stored: b"found"})
    for name in (stored, other):
        with archives.opened(path) as archive:
            assert archives.read(archive.open(name)) == b"found"


def test_a_tar_inside_of_a_tar_is_read_where_it_is(tmp_path):
    inner = pack(tmp_path / "inner.tar").read_bytes()
    with archives.opened(pack(tmp_path / "outer.tar", {"inner.tar": inner, "again.tar": inner})) as outer:
        nested = [archives.Tar(member.origin, member.open()) for member in list(outer.members())]
        walks = [tar.members() for tar in nested]
        for name, content in FILES.items():
            for walk in walks:
                member = next(walk)
                assert (member.name, archives.read(member)) == (name, content)
                assert "outer.tar: " in member.origin and f".tar: {name}" in member.origin


def test_nothing_is_written(tmp_path):
    paths = [pack(tmp_path / kind) for kind in KINDS]
    before = sorted(tmp_path.rglob("*"))
    for path in paths:
        with archives.opened(path) as archive:
            list(map(archives.read, archive.members()))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["x.tar", "x.tgz", "x.zip"])
@pytest.mark.parametrize("name", ["../up.txt", "/etc/up.txt", "a/../../up.txt", "..\\up.txt"])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path, kind, name):
    path = pack(tmp_path / kind, {name: b"x"})
    with (
        archives.opened(path) as archive,
        pytest.raises(DataError, match=rf"{kind}: the name .*up\.txt' leads out of the archive"),
    ):
        list(archive.members())


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "a/../../secret.txt"])
def test_a_folder_is_not_left_by_a_name(tmp_path, name):
    (tmp_path / "secret.txt").write_text("secret")
    with archives.opened(pack(tmp_path / "folder")) as archive, pytest.raises(DataError, match="leads out of the archive"):
        archive.open(name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_that_is_too_large_is_refused_unread(tmp_path, kind):
    with archives.opened(pack(tmp_path / kind)) as archive:
        member = archive.open("a/two.bin")
        assert len(archives.read(member, limit=1800)) == 1800
        with pytest.raises(DataError, match=r"two\.bin has 1,800 bytes, more than the 1,799"):
            archives.read(member, limit=1799)


def test_a_member_that_is_larger_than_it_declares_is_refused(tmp_path):
    """A zip bomb holds 64 MB of zeros in 64 kB and declares 100 bytes."""
    path = pack(tmp_path / "x.zip", {"bomb.jpg": bytes(64 << 20)})
    content = path.read_bytes()
    path.write_bytes(content.replace((64 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with archives.opened(path) as archive, pytest.raises(DataError, match=r"x\.zip: bomb\.jpg is damaged"):
        list(map(archives.read, archive.members()))


def test_a_text_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = pack(tmp_path / "folder", {"many.gz": gzip.compress(b"a\n" * 5000), "bomb.gz": gzip.compress(bytes(3 << 20))})
    with archives.opened(path) as archive:
        with pytest.raises(DataError, match=r"many\.gz has 1,002 bytes, more than the 1,000"):
            list(archives.lines(archive.open("many.gz"), limit=1000))
        monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
        with pytest.raises(DataError, match=r"bomb\.gz has 1,048,577 bytes, more than the 1,048,576"):
            list(archives.lines(archive.open("bomb.gz")))


@pytest.mark.parametrize("length", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20, (2 << 20) + 2, 3 << 20])
def test_a_line_that_is_too_long_is_cut_and_refused_and_the_next_is_read(tmp_path, length):
    path = pack(tmp_path / "folder", {"long": b"a\n" + b"b" * length + b"\r\nc\n"})
    with archives.opened(path) as archive:
        first, long, last = archives.lines(archive.open("long"))
    assert (first, last) == (b"a", b"c")
    if length < archives.MAX_LINE_BYTES - 1:
        assert archives.decoded(long, "x") == "b" * length
    else:
        with pytest.raises(DataError, match="line 2 has more than 1,048,576 bytes"):
            archives.decoded(long, "line 2")


@pytest.mark.parametrize("line", [b"caf\xe9", "text".encode("utf-16-le")])
def test_text_in_another_encoding_is_refused(line):
    with pytest.raises(DataError, match="^line 1 is not UTF-8: "):
        archives.decoded(line, "line 1")


@pytest.mark.parametrize("kind", ["x.tar", "x.tgz", "x.zip"])
@pytest.mark.parametrize("kept", [0, 1, 300, 512, 1024, 1100, 2048, 3000, 3300])
def test_an_archive_cut_short_is_named(tmp_path, kind, kept):
    path = pack(tmp_path / kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(kept, len(whole) - 9)])
    with pytest.raises(DataError, match=rf"{kind}.* is damaged, cut short"), archives.opened(path) as archive:
        list(map(archives.read, archive.members()))


def test_a_folder_without_the_file_and_a_path_without_an_archive_are_told(tmp_path):
    with archives.opened(tmp_path) as archive, pytest.raises(DataError, match=r"gone\.txt is missing"):
        archive.open("gone.txt")
    with pytest.raises(DataError, match=r"gone\.tar cannot be read: No such file"), archives.opened(tmp_path / "gone.tar"):
        pass
