"""Data in the layouts of other toolkits is read as by independent readers; a missing part is named."""

import csv
import io
import json
import wave

import corpora
import numpy as np
import own_files
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.utils.errors import DataError

SPEECH = '[problems.mine]\nkind = "speech_manifest"\ntarget_space = "to_english"\nsample_rate = 8000\n'
PAIRS = '[problems.mine]\nkind = "text_pairs"\ntarget_space = "to_german"\n'
CAPTIONS = '[problems.mine]\nkind = "image_captions"\ntarget_space = "to_english"\n'
CLASSES = '[problems.mine]\nkind = "image_folder"\n'
WAVS = {f"{n}": own_files.wav(n) for n in range(6)}
JPEGS = [corpora.picture(colour=(20 * n, 0, 0)) for n in range(4)]


def problem(folder, text):
    (folder / "p.toml").write_text(text)
    return read_problem_file(folder / "p.toml")[0]


def read(folder, text, split="train"):
    return list(problem(folder, text).generate(split, folder))


def values(examples):
    return [(example["inputs"], example["targets"]) for example in examples]


def errors(examples):
    return [str(example["error"]) for example in examples if "error" in example]


def samples(content):
    with wave.open(io.BytesIO(content)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def write_table(path, rows, features=None):
    """Writes a Parquet file, or an Arrow stream, with `features` in its schema as Hugging Face's `datasets` writes them."""
    table = pyarrow.Table.from_pylist(rows)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)


def save_dataset(folder, rows, features=None):
    """Writes the files of `datasets`' save_to_disk: two Arrow files and their description."""
    names = [f"data-{i:05}-of-00002.arrow" for i in range(2)]
    for i, name in enumerate(names):
        write_table(folder / name, rows[i * len(rows) // 2 : (i + 1) * len(rows) // 2], features)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names], "_split": "train"}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features or {}}))


def test_columns_are_named_in_every_kind_of_list(tmp_path):
    rows = [{"id": str(i), "deu": f"Satz {i}, ja", "eng": f"sentence {i}, yes"} for i in range(5)]
    with open(tmp_path / "a.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "deu", "eng"])
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "a.tsv").write_text("\n".join("\t".join(row) for row in [list(rows[0]), *(row.values() for row in rows)]))
    for name in ("a.jsonl", "a.json"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_table(tmp_path / "a.parquet", rows)
    write_table(tmp_path / "a.arrow", rows)
    expected = [(row["eng"], row["deu"]) for row in rows]
    toml = PAIRS + 'train = "{}"\ndev = "a.csv"\ncolumns = {{inputs = "{}", targets = "deu"}}\n'
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet", "a.arrow"):
        assert values(read(tmp_path, toml.format(name, "eng"))) == expected
    for name in ("a.csv", "a.tsv", "a.parquet"):
        with pytest.raises(DataError, match=f"{name} names the columns id, deu, eng; expected engl and deu; did you mean eng"):
            read(tmp_path, toml.format(name, "engl"))
    assert 'expected {"engl": "...", "deu": "..."}, got ' in errors(read(tmp_path, toml.format("a.json", "engl")))[4]


def test_a_list_without_names_has_columns_by_number(tmp_path):
    (tmp_path / "deu.tsv").write_text("Go.\tGeh.\tCC-BY 1\nHi.\tHallo.\tCC-BY 2\nalone\n")
    found = read(tmp_path, PAIRS + 'train = "deu.tsv"\ndev = "deu.tsv"\ncolumns = {inputs = 2, targets = 1}\n')
    assert values(found[:2]) == [("Geh.", "Go."), ("Hallo.", "Hi.")]
    assert errors(found) == [f"line 3 of {tmp_path}/deu.tsv: 1 column, but columns asks for number 2, with a tab between"]


def test_pairs_lie_in_objects_by_language(tmp_path):
    rows = [{"id": i, "translation": {"de": f"Satz {i}", "en": f"sentence {i}"}} for i in range(4)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    save_dataset(tmp_path / "saved", rows)
    columns = 'dev = "a.jsonl"\ncolumns = {inputs = "translation.en", targets = "translation.de"}\n'
    expected = [(row["translation"]["en"], row["translation"]["de"]) for row in rows]
    for name in ("a.jsonl", "saved"):
        assert values(read(tmp_path, PAIRS + f'train = "{name}"\n' + columns)) == expected


def test_texts_in_other_encodings(tmp_path):
    texts = ["naïve café", "Straße", "œuvre"]
    for encoding in ("cp1252", "utf-16", "utf-16-le", "utf-8-sig"):
        for side in ("en", "de"):
            (tmp_path / f"a.{side}").write_text("\n".join(texts) + "\n", encoding=encoding)
        (tmp_path / "a.csv").write_text("".join(f'"{text}","{text}"\n' for text in texts), encoding=encoding)
        for train in ('{inputs = "a.en", targets = "a.de"}', '"a.csv"'):
            found = read(tmp_path, PAIRS + f'train = {train}\ndev = "a.csv"\nencoding = "{encoding}"\n')
            assert values(found) == [(text, text) for text in texts]
    with pytest.raises(DataError, match=r"a\.en is not utf-16, as encoding says: "):
        (tmp_path / "a.en").write_bytes(b"abc")
        read(tmp_path, PAIRS + 'train = {inputs = "a.en", targets = "a.de"}\ndev = "a.csv"\nencoding = "utf-16"\n')


def test_common_voice(tmp_path):
    names = "client_id\tpath\tsentence\tup_votes\n"
    lines = [f'{n % 2:0128}\tcommon_voice_en_{n}.wav\tShe said "{n}\t2\n' for n in range(4)]
    corpora.write(tmp_path, {f"clips/common_voice_en_{n}.wav": WAVS[str(n)] for n in range(4)})
    for split, part in (("train", lines[:2]), ("dev", lines[2:3]), ("test", lines[3:]), ("validated", lines)):
        (tmp_path / f"{split}.tsv").write_text(names + "".join(part))
    made = problem(tmp_path, SPEECH + 'root = "."\n')
    found = {split: values(made.generate(split, tmp_path)) for split in made.splits}
    expected = [(WAVS[str(n)], f'She said "{n}') for n in range(4)]
    assert found == {"train": expected[:2], "dev": expected[2:3], "test": expected[3:]}


@pytest.mark.parametrize("folder", ["", "clips/", "wavs/"])
def test_names_in_a_list_may_lack_their_endings(tmp_path, folder):
    corpora.write(tmp_path, {f"{folder}a.0{n}.wav": WAVS[str(n)] for n in range(3)} | {f"{folder}a.02.flac": b""})
    (tmp_path / "l.tsv").write_text("".join(f"a.0{n}\tword {n}\n" for n in range(3)))
    files_in = 'files_in = "wavs"\n' if folder == "wavs/" else ""
    found = read(tmp_path, SPEECH + f'train = "l.tsv"\ndev = "l.tsv"\n{files_in}')
    assert values(found[:2]) == [(WAVS[str(n)], f"word {n}") for n in range(2)]
    assert "a.02 is missing" in str(found[2]["error"])  # two files could be meant


def test_a_speaker_is_not_divided_between_train_and_dev(tmp_path):
    corpora.write(tmp_path, {f"{n}.wav": WAVS["0"] for n in range(1)})
    (tmp_path / "l.tsv").write_text("path\ttext\twho\n" + "".join(f"0.wav\t{n % 20} {n}\tspeaker {n % 20}\n" for n in range(60)))
    toml = SPEECH + 'train = "l.tsv"\ndev_fraction = 0.3\ncolumns = {speaker = "who"}\n'
    who = [{example["targets"].split()[0] for example in read(tmp_path, toml, split)} for split in ("train", "dev")]
    assert not who[0] & who[1] and len(who[0] | who[1]) == 20 and len(read(tmp_path, toml, "dev")) == 3 * len(who[1])


def kaldi(folder, scp=None):
    corpora.write(folder, {f"wavs/{name}.wav": content for name, content in WAVS.items()})
    files = {"text": "".join(f"utt{n} word {n}\n" for n in WAVS), "utt2spk": "".join(f"utt{n} spk{n}\n" for n in WAVS)}
    files["wav.scp"] = scp or "".join(f"utt{n} wavs/{n}.wav\n" for n in WAVS)
    corpora.write(folder / "data/train", {name: text.encode() for name, text in files.items()})
    return SPEECH + 'train = "data/train"\ndev_fraction = 0.4\n'


def test_kaldi_data_folders(tmp_path):
    toml = kaldi(tmp_path)
    assert sorted(values(read(tmp_path, toml) + read(tmp_path, toml, "dev"))) == sorted(
        (content, f"word {n}") for n, content in WAVS.items()
    )
    whole = np.concatenate([soundfile.read(io.BytesIO(content), dtype="int16")[0] for content in WAVS.values()])
    corpora.write(tmp_path, {"long.wav": wav_of(whole)})
    (tmp_path / "data/train/wav.scp").write_text(f"rec {tmp_path}/long.wav\n")
    segments = [f"utt{n} rec {0.2 * i:.2f} {0.2 * i + 0.2:.2f}\n" for i, n in enumerate(WAVS)]
    (tmp_path / "data/train/segments").write_text("".join([*segments[:-1], segments[-1].replace("1.20", "-1"), "utt9 rec 0 1\n"]))
    found = read(tmp_path, toml) + read(tmp_path, toml, "dev")
    assert {"left_out": "utterances without text"} in found
    heard = {example["targets"]: samples(example["inputs"]).tolist() for example in found if "inputs" in example}
    assert heard == {f"word {n}": soundfile.read(io.BytesIO(c), dtype="int16")[0].tolist() for n, c in WAVS.items()}


def wav_of(whole):
    buffer = io.BytesIO()
    soundfile.write(buffer, whole, 8000, format="WAV")
    return buffer.getvalue()


def test_what_a_kaldi_folder_lacks_is_named(tmp_path):
    toml = kaldi(tmp_path, "utt0 sph2pipe -f wav x.sph |\nutt1 wavs/1.wav\nutt2 wavs/no.wav\n")
    found = errors(read(tmp_path, toml) + read(tmp_path, toml, "dev"))
    folder = tmp_path / "data/train"
    assert (
        f"line 1 of {folder}/text: line 1 of {folder}/wav.scp is a command, 'sph2pipe -f wav x.sph |', which is not run"
        in str(found)
    )
    assert f"{folder}/wavs/no.wav is missing" in found and f"utt5 has no line in {folder}/wav.scp" in str(found)
    (folder / "segments").write_text("utt1 rec 0\n")
    found = read(tmp_path, toml) + read(tmp_path, toml, "dev")
    assert "segments: expected utterance, recording, start and end, got 'rec 0'" in str(errors(found))
    (folder / "text").unlink()
    with pytest.raises(DataError, match="train has wav.scp but no text; expected a line per utterance in "):
        read(tmp_path, toml)


def test_nemo_manifests_and_segments_of_long_recordings(tmp_path):
    sound = np.arange(16000, dtype=np.int16)
    corpora.write(tmp_path, {"long.wav": wav_of(sound)})
    rows = [{"audio_filepath": "long.wav", "duration": 0.5, "offset": 0.25 * n, "text": f"part {n}"} for n in range(5)]
    (tmp_path / "train_manifest.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "dev_manifest.json").write_text(json.dumps({**rows[0], "offset": None, "duration": 2.0}) + "\n")
    toml = SPEECH + 'root = "."\n'
    heard = [samples(example["inputs"]).tolist() for example in read(tmp_path, toml)]
    assert heard == [sound[2000 * n : 2000 * n + 4000].tolist() for n in range(5)]
    assert values(read(tmp_path, toml, "dev")) == [(wav_of(sound), "part 0")]
    names = "path\tstart\tend\ttranscript\n"
    for line, message in (
        ("long.wav\t1.9\t2.6\tx", "the segment from 1.9 to 2.6 s ends behind the recording, which has 2.00 s"),
        ("long.wav\t1\t1\tx", "start must be at least 0 and end above it, in seconds"),
        ("long.wav\t0:1\t1\tx", "line 2 of .*: start must be a number of seconds, got '0:1'"),
    ):
        (tmp_path / "l.tsv").write_text(names + line)
        with pytest.raises(AssertionError, match=message):
            assert not errors(read(tmp_path, SPEECH + 'train = "l.tsv"\ndev = "l.tsv"\n'))
    (tmp_path / "l.tsv").write_text(names + "long.wav\t1.9\t2.1\tx\n")
    (example,) = read(tmp_path, SPEECH + 'train = "l.tsv"\ndev = "l.tsv"\n')
    assert len(samples(example["inputs"])) == 800 and example["changes"] == ("cut at the recording's end",)
    manifest = generate(
        [problem(tmp_path, SPEECH + 'train = "l.tsv"\ndev = "l.tsv"\n')], tmp_path / "d", tmp_path, 300, report=str
    )
    assert manifest["mine"]["splits"]["train"]["changed"] == {"cut at the recording's end": 1}


def test_trees_of_transcripts_as_librispeech_has_them(tmp_path):
    files = {}
    for n, content in WAVS.items():
        sound, rate = soundfile.read(io.BytesIO(content), dtype="int16")
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, rate, format="FLAC")
        split = "train-clean" if int(n) < 4 else "train-other" if int(n) < 5 else "dev-clean"
        files |= {f"Libri/{split}/{n}/7/{n}-7-0000.flac": buffer.getvalue()}
        files |= {f"Libri/{split}/{n}/7/{n}-7.trans.txt": f"{n}-7-0000 WORD {n}\n".encode()}
    corpora.write(tmp_path, files | {"Libri/train-clean/0/7/0-7-0001.flac": b"", "Libri/SPEAKERS.TXT": b";"})
    found = read(tmp_path, SPEECH + 'root = "Libri"\n')
    assert found.pop(1) == {"left_out": "recordings without a transcript"}
    assert values(found) == [
        (files[f"Libri/train-{'other' if n == 4 else 'clean'}/{n}/7/{n}-7-0000.flac"], f"WORD {n}") for n in range(5)
    ]
    assert [example["targets"] for example in read(tmp_path, SPEECH + 'root = "Libri"\n', "dev")] == ["WORD 5"]
    (tmp_path / "Libri/dev-clean/5/7/5-7-0000.flac").unlink()
    assert "5-7-0000 is missing; expected " in errors(read(tmp_path, SPEECH + 'root = "Libri"\n', "dev"))[0]


def test_image_folders_with_metadata_and_saved_datasets(tmp_path):
    corpora.write(tmp_path, {f"im/{n}.jpg": JPEGS[n] for n in range(4)})
    rows = [{"file_name": f"{n}.jpg", "text": f"picture {n}", "label": ["cat", "dog"][n % 2]} for n in range(4)]
    (tmp_path / "im/metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = [(JPEGS[n], f"picture {n}") for n in range(4)]
    assert values(read(tmp_path, CAPTIONS + 'train = "im"\ndev = "im"\n')) == expected
    labelled = problem(tmp_path, CLASSES + 'train = "im"\ndev = "im"\n')
    assert labelled.find_classes(tmp_path) == ("cat", "dog")
    assert [label for _, label in values(labelled.generate("train", tmp_path))] == ["cat", "dog", "cat", "dog"]
    stored = [{"image": {"bytes": JPEGS[n], "path": f"{n}.jpg"}, "text": f"picture {n}", "label": n % 2} for n in range(4)]
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    save_dataset(tmp_path / "saved/train", stored, features)
    save_dataset(tmp_path / "saved/validation", stored[:2], features)
    (tmp_path / "saved/dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    write_table(tmp_path / "train-00000-of-00001.parquet", stored, features)
    assert values(read(tmp_path, CAPTIONS + 'root = "saved"\n')) == expected
    assert values(read(tmp_path, CAPTIONS + 'root = "saved"\n', "dev")) == expected[:2]
    for train in ("saved/train", "train-*.parquet"):
        made = problem(tmp_path, CLASSES + f'train = "{train}"\ndev = "im"\n')
        assert made.find_classes(tmp_path) == ("cat", "dog")
        assert values(made.generate("train", tmp_path)) == [(JPEGS[n], ["cat", "dog"][n % 2]) for n in range(4)]
    with pytest.raises(DataError, match='saved holds the splits train, validation; write root = "'):
        read(tmp_path, CAPTIONS + 'train = "saved"\n')


def test_a_root_with_train_and_val(tmp_path):
    names = {f"photos/{split}/{name}/{n}.jpg": JPEGS[n] for split in ("train", "val") for name in ("cat", "dog") for n in (0, 1)}
    corpora.write(tmp_path, names)
    made = problem(tmp_path, CLASSES + 'root = "photos"\n')
    assert made.find_classes(tmp_path) == ("cat", "dog") and len(values(made.generate("dev", tmp_path))) == 4
    manifest = generate([made], tmp_path / "data", tmp_path, 300, report=str)["mine"]
    assert {split: entry["examples"] for split, entry in manifest["splits"].items()} == {"train": 4, "dev": 4}
    for toml, message in (
        ('root = "photos"\ntrain = "x"\n', "root: train is given too"),
        ('root = "photos"\ndev_fraction = 0.2\n', "dev_fraction: .*photos has dev of its own"),
        ('root = "photos/val"\n', "root: .*val has no train; expected .*, found cat, dog"),
        ('root = "fotos"\n', r"root: fotos is missing in .*; did you mean photos\?"),
    ):
        with pytest.raises(DataError, match=message):
            problem(tmp_path, CLASSES + toml).check(tmp_path)


def test_sources_have_weights_which_the_manifest_counts(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.tsv").write_text("".join(f"{name} {n}\t{name.upper()} {n}\n" for n in range(40)))
    for side in ("en", "de"):
        (tmp_path / f"d.{side}").write_text("".join(f"d {n}\n" for n in range(10)))
    table = 'train = ["a.tsv", {path = "b.tsv", weight = 2.5}, {path = "c.tsv", weight = 0.5}, '
    toml = PAIRS + table + '{inputs = "d.en", targets = "d.de", weight = 3}]\ndev = "a.tsv"\n'
    found = read(tmp_path, toml)
    texts = [example["inputs"] for example in found if "inputs" in example]
    counts = {name: [text[0] for text in texts].count(name) for name in "abcd"}
    twice = len(read(tmp_path, toml.replace("2.5", "2"))) - 40 - 40 - 30
    assert counts["a"] == 40 and twice == 80 and 90 <= counts["b"] <= 110 and 10 <= counts["c"] <= 30 and counts["d"] == 30
    assert found == read(tmp_path, toml)
    manifest = generate([problem(tmp_path, toml)], tmp_path / "data", tmp_path, 300, report=str)["mine"]["splits"]
    assert manifest["train"]["examples"] == len(texts) and manifest["dev"]["examples"] == 40
    assert manifest["train"]["left_out"] == {"by weight 0.5 (c.tsv)": 40 - counts["c"]}
    expected = {"repeated by weight 2.5 (b.tsv)": counts["b"] - 40, "repeated by weight 3 (d.en and d.de)": 20}
    assert manifest["train"]["changed"] == expected
    with pytest.raises(DataError, match="--clean=duplicates would leave out what weights above 1 repeat"):
        generate([problem(tmp_path, toml)], tmp_path / "e", tmp_path, 300, report=str, rules=frozenset({"duplicates"}))


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (SPEECH + 'train = "x"\n', "train: .*x is a folder, but speech_manifest takes a file, or a folder with wav.scp and text"),
        (CAPTIONS + 'train = "x"\n', "but image_captions takes a file, or a folder with metadata.csv, metadata.jsonl"),
        (PAIRS + 'train = "x"\n', "but text_pairs takes a file, or a folder with state.json"),
        (PAIRS + 'train = "a.json"\n', r"a\.json is one list of JSON; expected an object per line"),
        (
            CAPTIONS + 'train = "coco.json"\n',
            r"coco\.json is one object, with keys as COCO's; .* image_mscoco_tokens_8k and coco_64",
        ),
        (PAIRS + 'train = "o.json"\n', r"o\.json is one object over several lines; expected an object per line"),
        (
            PAIRS + 'train = "a.parquet"\n',
            r"a\.parquet names the columns a, b; expected inputs \(or input, source, src\) and targets",
        ),
        (
            PAIRS + 'train = "a.parquet"\ncolumns = {inputs = 1, targets = 2}\n',
            "its columns have names, so columns must name them",
        ),
        (PAIRS + 'train = "no.parquet"\n', r"no\.parquet is damaged, cut short or not in its usual format"),
        (PAIRS + 'train = "a.tsv"\ncolumns = {input = "a"}\n', "columns: unknown key 'input'; did you mean inputs"),
        (
            PAIRS + 'train = "a.tsv"\ncolumns = {inputs = 1}\n',
            "columns: names and numbers do not mix, .*; give the number of targets too",
        ),
        (PAIRS + 'train = "a.tsv"\ncolumns = {inputs = 1, targets = "b"}\n', "columns: .*; give numbers alone"),
        (
            PAIRS + 'train = "a.tsv"\ncolumns = {inputs = 0}\n',
            "columns, inputs: must be a name in quotes, or in lists without names",
        ),
        (SPEECH + 'train = "a.tsv"\ncolumns = {text = "a", transcript = "b"}\n', "columns: text and transcript are one"),
        (PAIRS + 'train = "a.tsv"\nencoding = "utf-9"\n', "encoding: must be the name of an encoding, as"),
        (PAIRS + 'train = ["a.tsv", {path = "a.tsv", weigth = 2}]\n', "train: must be .*, each maybe with weight = 2"),
        (PAIRS + 'train = "a.tsv"\ndev = [{path = "a.tsv", weight = 2}]\n', "dev: must be "),
    ],
)
def test_what_a_layout_lacks_is_one_line(tmp_path, toml, message):
    (tmp_path / "x").mkdir()
    (tmp_path / "a.json").write_text('[{"inputs": "a", "targets": "b"}]')
    (tmp_path / "coco.json").write_text('{"info": {}, "images": [], "annotations": []}')
    (tmp_path / "o.json").write_text('{\n "inputs": "a"}\n')
    (tmp_path / "a.tsv").write_text("a\tb\n")
    write_table(tmp_path / "a.parquet", [{"a": "b", "b": "c"}])
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, toml)
    assert "\n" not in str(caught.value)
