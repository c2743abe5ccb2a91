"""WSJ speech as it is distributed: discs or two folders, upper or lower case, SPHERE with and without shorten."""

import os
import stat
import sys

import corpora
import numpy as np
import pytest
import sounds

from t2t_multimodel.data.generation.encode import check_example
from t2t_multimodel.data.readers import sphere
from t2t_multimodel.problems.wsj_speech import AUDIO_WSJ, normalised
from t2t_multimodel.utils.errors import DataError

LAYOUTS = [(discs, upper) for discs in (True, False) for upper in (True, False)]
SAMPLES = np.array([1, 2, 3], np.int16)
TEXTS = {
    "train": {"THE SALE'S PERCENT", "HE SAID AND <NOISE> POINT -DASH"},
    "dev": {"SAID ONE TWO THREE"},
    "test": {"THE BANK WON'T COMMENT"},
}


def read(split, folder):
    return list(AUDIO_WSJ.generate(split, folder))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """install(content, code) puts an sph2pipe on the PATH that prints `content`; until then there is none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(content, code=0):
        (folder / "output").write_bytes(content)
        path = folder / "sph2pipe"
        lines = [
            f"#!{sys.executable}",
            "import sys",
            f"assert sys.argv[1:4] == ['-f', 'wav', '-p'] and len(sys.argv) == 5 - {code}",
        ]
        if code:
            lines = [lines[0], "import sys", f"sys.exit('not a\\nSPHERE file') if {code} else None"]
        lines.append(f"sys.stdout.buffer.write(open({str(folder / 'output')!r}, 'rb').read())")
        path.write_text("\n".join(lines))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return install


@pytest.mark.parametrize(("discs", "upper"), LAYOUTS)
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_each_set_has_its_recordings_and_normalised_transcripts(tmp_path, discs, upper, split):
    corpora.wsj(tmp_path, discs, upper)
    found = read(split, tmp_path)
    assert {example["targets"] for example in found} == TEXTS[split] and len(found) == len(TEXTS[split])
    for example in found:
        pcm, *_ = check_example(AUDIO_WSJ, example, "x")
        assert len(pcm) == 8000 and pcm == example["inputs"][1024:]


def test_recordings_of_speaker_401_on_other_discs_stay(tmp_path):
    corpora.wsj(tmp_path / "wsj")
    listed = tmp_path / "wsj/LDC93S6A/11-13.1/wsj0/doc/indices/train/tr_s_wv1.ndx"
    listed.write_text(listed.read_text().replace("11_2_1:", "11_3_1:"))
    (error,) = [example["error"] for example in read("train", tmp_path) if "error" in example]
    assert "401c0201.wv1 of disc 11-3.1 is missing" in str(error)


@pytest.mark.parametrize(
    ("transcript", "spoken"),
    [
        ("The price rose five %PERCENT", "THE PRICE ROSE FIVE PERCENT"),
        ("one .POINT two --DASH ,COMMA", "ONE POINT TWO -DASH ,COMMA"),
        ("a [<door_slam] b [door_slam>] c [phone_ring/] d [/phone_ring] e", "A B C D E"),
        ("~ cut . off ~", "CUT OFF"),
        ("[loud_breath] <the> isn\\'t", "<NOISE> THE ISN'T"),
    ],
)
def test_transcripts_are_normalised(transcript, spoken):
    assert normalised(transcript) == spoken


def test_all_lists_that_are_missing_are_named_with_disc_and_catalogue_number(tmp_path):
    with pytest.raises(DataError) as error:
        read("dev", tmp_path)
    for part in ("tr_s_wv1.ndx", "si_tr_s.ndx", "h1_p0.ndx", "si_et_20.ndx", "disc 13-34.1", "LDC93S6A", "LDC94S13A"):
        assert part in str(error.value)


@pytest.mark.parametrize("content", [None, b"NO ID HERE\n", "SA\u00cfD (4k0c0301)\n".encode("latin-1")])
def test_a_missing_or_damaged_transcript_is_an_error_example(tmp_path, content):
    corpora.wsj(tmp_path, discs=False)
    path = tmp_path / "wsj1/trans/wsj1/si_dt_20/4k0/4k0c0300.dot"
    path.unlink() if content is None else path.write_bytes(content)
    (example,) = read("dev", tmp_path)
    assert "4k0c0300.dot" in str(example["error"])


def test_a_line_of_a_list_that_is_no_recording_is_told(tmp_path):
    corpora.wsj(tmp_path, discs=False)
    (tmp_path / "wsj1/doc/indices/h1_p0.ndx").write_text("; comment\n\nwsj1/si_dt_20/4k0/4k0c0301.wv1\n")
    with pytest.raises(DataError, match=r"h1_p0\.ndx, line 3: .* is not like 11_1_1:wsj0"):
        read("dev", tmp_path)


def test_samples_that_do_not_add_up_are_told(tmp_path):
    corpora.wsj(tmp_path, discs=False)
    corpora.write(tmp_path, {"wsj1/si_dt_20/4k0/4k0c0301.wv1": corpora.sphere(checksum=7)})
    with pytest.raises(DataError, match=r"4k0c0301\.wv1.*its samples add up to \d+ modulo 65536, its header says 7"):
        check_example(AUDIO_WSJ, read("dev", tmp_path)[0], "x")


def test_real_sphere_files_add_up_and_damaged_ones_do_not(shared_data):
    for path in sorted((shared_data / "sphere_samples" / "mini_an4").rglob("*.sph")):
        content = path.read_bytes()
        example = {"inputs": content, "targets": "A"}
        check_example(AUDIO_WSJ, example, "x")
        with pytest.raises(DataError, match="samples add up to"):
            check_example(AUDIO_WSJ, {**example, "inputs": content[:-1] + bytes([content[-1] ^ 1])}, "x")


@pytest.fixture
def no_desphere(monkeypatch):
    monkeypatch.setattr(sphere, "PACKAGE", "desphere_that_is_not_installed")


def test_shortened_recordings_need_a_reader(tmp_path, program, no_desphere):
    corpora.wsj(tmp_path, discs=False)
    corpora.write(tmp_path, {"wsj1/si_dt_20/4k0/4k0c0301.wv1": sounds.shortened(SAMPLES)})
    with pytest.raises(DataError, match=r"install .*'t2t_multimodel\[sphere\]'\), or put sph2pipe on the PATH"):
        read("dev", tmp_path)


def test_shortened_recordings_are_read_by_desphere(tmp_path, program):
    corpora.wsj(tmp_path, discs=False)
    corpora.write(tmp_path, {"wsj1/si_dt_20/4k0/4k0c0301.wv1": sounds.shortened(SAMPLES)})
    pcm, text, *_ = check_example(AUDIO_WSJ, read("dev", tmp_path)[0], "x")
    assert len(pcm) == 12 and text == "SAID ONE TWO THREE"  # three samples at 8 kHz, six at 16
    corpora.write(tmp_path, {"wsj1/si_dt_20/4k0/4k0c0301.wv1": sounds.shortened(SAMPLES)[:-8]})
    with pytest.raises(DataError, match=r"4k0c0301\.wv1.* is damaged; desphere says: "):
        check_example(AUDIO_WSJ, read("dev", tmp_path)[0], "x")


def test_without_desphere_they_go_through_sph2pipe(tmp_path, program, no_desphere):
    corpora.wsj(tmp_path, discs=False)
    corpora.write(tmp_path, {"wsj1/si_dt_20/4k0/4k0c0301.wv1": sounds.shortened(SAMPLES)})
    program(corpora.wav([1, 2, 3]))
    pcm, text, *_ = check_example(AUDIO_WSJ, read("dev", tmp_path)[0], "x")
    assert pcm == b"\1\0\2\0\3\0" and text == "SAID ONE TWO THREE"
    for output, code, message in (
        (corpora.wav([1, 2, 4]), 0, "add up to 7 modulo 65536, its header says 6"),
        (b"", 0, "sph2pipe says: exit code 0"),
        (b"", 1, "sph2pipe says: not a SPHERE file"),
        (b"RIFF", 0, "what sph2pipe makes of it is no WAV file"),
    ):
        program(output, code)
        with pytest.raises(DataError, match=message):
            check_example(AUDIO_WSJ, read("dev", tmp_path)[0], "x")


def test_real_shortened_files_are_known(shared_data):
    files = sorted((shared_data / "sphere_samples" / "sph2pipe_test").glob("*.sph"))
    assert {path.name for path in files if not sphere.is_shortened(path.read_bytes())} == {"123_2alaw.sph"}
    assert len(files) == 7 and os.path.exists(files[0])
