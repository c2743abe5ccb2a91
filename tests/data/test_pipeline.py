"""Batches are made from records, and from a user's inputs to the decoder."""

import collections
import dataclasses
import io
import itertools

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image as Picture

from t2t_multimodel.config import HParams
from t2t_multimodel.data import pipeline, preprocess
from t2t_multimodel.data.fixed_shapes import declared_shapes, shape_lines
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.pipeline import TrainingBatches, batch_signature, evaluation_batches, prepare_inputs
from t2t_multimodel.data.readers.sound.decode import decode_audio
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Audio, Image, Label
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.utils.errors import DataError

HPARAMS = HParams().override(
    "max_length=40,batch_tokens=160,batch_images=4,batch_seconds=0.5,max_seconds=0.4,mel_bins=5,shuffle_buffer=50"
)
CLASSES = Label(("red", "green", "blue"), "colours")
COLOURS = ("red", "green", "blue", "white", "gray")
PICTURE = Image(height=8, width=10, augment=("crop", "flip"))
LONG = "".join(str(i * i % 97) for i in range(300))


def picture(i):
    image = Picture.new("RGB", (14 + i, 11), COLOURS[i % 5])
    image.paste("black", (0, 0, 3 + i % 4, 6))
    with io.BytesIO() as file:
        image.save(file, "PNG")
        return file.getvalue()


def sound(i):
    wave = np.sin(np.arange(200 + 130 * i) * (0.1 + 0.02 * i)) / 2
    with io.BytesIO() as file:
        soundfile.write(file, wave, 4000, format="WAV")
        return file.getvalue()


def sentence(i):
    return {"inputs": "".join("abcdefg"[(i + j) % 7] for j in range(1 + i)), "targets": "xyz" * (1 + i % 4)}


SENTENCES = [*map(sentence, range(24)), {"inputs": "a", "targets": LONG}, {"inputs": LONG, "targets": "x"}]
TRANSLATE = fake_problem("translate", SENTENCES)
CAPTION = fake_problem(
    "caption",
    [
        {"inputs": picture(i), "targets": LONG if i == 6 else COLOURS[i % 5], "references": [f"{i}", "so"][: i % 3]}
        for i in range(9)
    ],
    inputs=PICTURE,
)
CLASS = fake_problem("class", [{"inputs": picture(i), "targets": CLASSES.classes[i % 3]} for i in range(7)], PICTURE, CLASSES)
SPEECH = fake_problem("speech", [{"inputs": sound(i), "targets": "s" * (i + 1)} for i in range(12)], inputs=Audio(4000))
TOPIC = fake_problem("topic", [{"inputs": "b" * (3 + i), "targets": CLASSES.classes[i % 3]} for i in range(6)], targets=CLASSES)
BACK = TRANSLATE.reverse("to_back", "back")
ALL = [TRANSLATE, CAPTION, CLASS, SPEECH, TOPIC, BACK]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(ALL, folder, folder, 320, num_shards=2, report=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def vocabulary(data_dir):
    return Vocabulary.load(data_dir / "vocabulary.model")


def some_training(problem, data_dir, count, seed=1, hparams=HPARAMS):
    batches = itertools.islice(TrainingBatches(problem, data_dir, hparams, seed), count)
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches]


def dev(problem, data_dir, hparams=HPARAMS):
    return list(evaluation_batches(problem, data_dir, hparams).as_numpy_iterator())


def rows(batches, *names):
    """Returns the examples of a list of batches, without padding."""
    cut = lambda row: tuple(row[row != 0].tolist()) if row.ndim else int(row)  # noqa: E731
    return [tuple(map(cut, example)) for batch in batches for example in zip(*(batch[name] for name in names), strict=True)]


def ids(vocabulary, text):
    return (*vocabulary.encode(text), 1)


def test_evaluation_has_every_example_once(data_dir, vocabulary):
    wanted = [(ids(vocabulary, e["inputs"]), ids(vocabulary, e["targets"])) for e in TRANSLATE.generate("dev", None)]
    assert collections.Counter(rows(dev(TRANSLATE, data_dir), "inputs", "targets")) == collections.Counter(wanted)
    assert sum(len(batch["targets"]) for batch in dev(SPEECH, data_dir)) == 12


def test_text_ends_with_1_and_is_padded_with_0(data_dir):
    for batch in dev(TRANSLATE, data_dir):
        for name in ("inputs", "targets"):
            assert batch[name].dtype == np.int32
            for row in batch[name]:
                length = np.count_nonzero(row)
                assert row[length - 1] == 1
                assert not row[length:].any() and not (row[: length - 1] == 1).any()


def test_a_reversed_problem_swaps_the_sides(data_dir):
    forwards, backwards = rows(dev(TRANSLATE, data_dir), "inputs", "targets"), rows(dev(BACK, data_dir), "targets", "inputs")
    assert sorted(forwards) == sorted(backwards)
    assert batch_signature(BACK.spec(), HPARAMS).keys() == {"inputs", "targets"}


def test_training_batches_hold_at_most_batch_tokens(data_dir):
    batches = some_training(TRANSLATE, data_dir, 40)
    sizes = [batch["inputs"].size + batch["targets"].size for batch in batches]
    assert max(sizes) <= 160
    assert {len(batch["inputs"]) for batch in batches} == {13, 10, 8}


def test_training_leaves_out_what_is_too_long(data_dir, vocabulary):
    seen = set(rows(some_training(TRANSLATE, data_dir, 60), "inputs", "targets"))
    short = [e for e in TRANSLATE.generate("train", None) if LONG not in e.values()]
    assert seen == {(ids(vocabulary, e["inputs"]), ids(vocabulary, e["targets"])) for e in short}
    captions = {caption for (caption,) in rows(some_training(CAPTION, data_dir, 12), "targets")}
    assert len(captions) == 5 and max(map(len, captions)) <= 40


def test_sound_batches_hold_at_most_batch_seconds(data_dir):
    batches = some_training(SPEECH, data_dir, 30)
    assert max(batch["inputs"].shape[0] * batch["inputs"].shape[1] for batch in batches) <= 50
    lengths = {int(length) for batch in batches for length in batch["inputs_length"]}
    frames = {-(-(200 + 130 * i) // 40) for i in range(12)}
    assert lengths == {frame for frame in frames if frame <= 41}


def test_sound_has_its_length_and_zeros_behind(data_dir):
    for batch in dev(SPEECH, data_dir):
        assert batch["inputs"].shape[1] == batch["inputs_length"].max()
        for row, length in zip(batch["inputs"], batch["inputs_length"], strict=True):
            assert not row[length:].any() and row[:length].any(axis=1).all()


def same(first, second):
    return all(a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("problem", [TRANSLATE, SPEECH], ids=lambda problem: problem.name)
def test_a_seed_decides_the_order(problem, data_dir):
    first, again, other = (some_training(problem, data_dir, 10, seed) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("problem", [TRANSLATE, CLASS, SPEECH], ids=lambda problem: problem.name)
def test_training_goes_on_from_any_position(problem, data_dir, monkeypatch):
    monkeypatch.setattr(pipeline, "SEGMENT_EXAMPLES", 14)  # so that several segments and passes are read
    whole, batches, positions = TrainingBatches(problem, data_dir, HPARAMS, 1), [], []
    for _ in range(40):
        positions.append(whole.position)
        batches.append({name: value.numpy() for name, value in next(whole).items()})
    assert len({segment for segment, _ in positions}) > 2
    for start in (3, 11, 39):
        again = TrainingBatches(problem, data_dir, HPARAMS, 1, positions[start])
        assert again.position == positions[start]
        assert same([{name: value.numpy() for name, value in next(again).items()} for _ in batches[start:]], batches[start:])


def test_segments_of_some_shards_hold_every_example_once(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "SEGMENT_EXAMPLES", 1)
    generate([TRANSLATE], tmp_path, tmp_path, 320, num_shards=10, report=lambda line: None)
    batches, seen = TrainingBatches(TRANSLATE, tmp_path, HPARAMS.override("shuffle_buffer=3"), 1), []
    while batches.position[0] < 6:  # three segments are an epoch
        batch = {name: value.numpy() for name, value in next(batches).items()}
        seen.append((batch, batches.position[0]))
    epochs = [collections.Counter(rows([batch for batch, at in seen if at // 3 == n], "inputs", "targets")) for n in (0, 1)]
    assert epochs[0] == epochs[1]
    assert sum(epochs[0].values()) == 24
    assert len({tuple(rows([batch for batch, at in seen if at == 3 * n], "inputs", "targets")) for n in (0, 1)}) == 2


@pytest.mark.parametrize(("problem", "changes"), [(TRANSLATE, "max_length=1"), (SPEECH, "max_seconds=0.01")])
def test_a_problem_whose_examples_are_all_too_long_is_told(problem, changes, data_dir):
    with pytest.raises(DataError, match=rf"no training example of {problem.name} is within .*{changes}"):
        next(TrainingBatches(problem, data_dir, HPARAMS.override(changes), 1))


def test_training_goes_through_the_examples_evenly_in_ever_new_orders(data_dir):
    labels = list(itertools.chain(*(batch["inputs"][:, 0, 0, 0].tolist() for batch in some_training(CLASS, data_dir, 14))))
    assert len(labels) == 14 * 4
    targets = np.concatenate([batch["targets"] for batch in some_training(CLASS, data_dir, 14)])
    assert np.bincount(targets).tolist() == [24, 16, 16]
    passes = targets.reshape(8, 7)
    assert len({tuple(order) for order in passes.tolist()}) > 2


def test_images_are_augmented_in_training_alone(data_dir):
    plain = [preprocess.image_pixels(tf.constant(picture(i)), PICTURE).numpy() for i in range(7)]
    np.testing.assert_allclose(np.concatenate([b["inputs"] for b in dev(CLASS, data_dir)]), plain, atol=1e-5)
    trained = np.concatenate([batch["inputs"] for batch in some_training(CLASS, data_dir, 4)])
    assert trained.shape[1:] == (8, 10, 3)
    distances = np.abs(trained[:, None] - np.stack(plain)).max(axis=(2, 3, 4)).min(axis=1)
    assert np.mean(distances > 0.01) > 0.5


def test_references_come_through(data_dir):
    batches = dev(CAPTION, data_dir)
    found = [[text.decode() for text in row if text] for batch in batches for row in batch["references"]]
    assert found == [[f"{i}", "so"][: i % 3] for i in range(9)]
    assert "references" not in some_training(CAPTION, data_dir, 1)[0]
    assert "references" not in dev(BACK, data_dir)[0]


@pytest.mark.parametrize("audio_input", ["spectrogram", "waveform"])
@pytest.mark.parametrize("problem", ALL, ids=lambda problem: problem.name)
def test_the_signature_fits_the_batches(problem, audio_input, data_dir):
    hparams = HPARAMS.override(audio_input=audio_input)
    signature = batch_signature(problem.spec(), hparams)
    trained = TrainingBatches(problem, data_dir, hparams, 1).element_spec
    assert trained.keys() == signature.keys()
    evaluated = evaluation_batches(problem, data_dir, hparams).element_spec
    for name, spec in signature.items():
        for batches in (trained, evaluated):
            assert batches[name].dtype == spec.dtype
            assert spec.is_compatible_with(batches[name])
            assert batches[name].shape.rank == spec.shape.rank


def prepared(problem, raws, vocabulary, **changes):
    return prepare_inputs(problem.inputs, raws, HPARAMS.override(**changes), vocabulary)


@pytest.mark.parametrize("problem", [TRANSLATE, CAPTION, SPEECH], ids=lambda problem: problem.name)
def test_raw_inputs_are_prepared_as_the_pipeline_does_it(problem, data_dir, vocabulary):
    raws = [example["inputs"] for example in problem.generate("dev", None)][:6]
    found = prepared(problem, raws, vocabulary)
    signature = batch_signature(problem.spec(), HPARAMS)
    assert all(signature[name].is_compatible_with(tf.constant(value)) for name, value in found.items())
    assert found.keys() == signature.keys() - {"targets"}
    lengths = found.get("inputs_length", [np.count_nonzero(row) if row.ndim == 1 else len(row) for row in found["inputs"]])
    batched = [row for batch in dev(problem, data_dir) for row in batch["inputs"]]
    for row, length in zip(found["inputs"], lengths, strict=True):
        assert any(np.allclose(row[:length], other[:length], atol=1e-5) for other in batched if len(other) >= length)


def test_raw_sound_of_both_kinds_is_prepared_alone_as_together(vocabulary):
    for kind, samples in (("waveform", 1), ("spectrogram", 40)):
        together = prepared(SPEECH, [sound(0), sound(3)], vocabulary, audio_input=kind)
        assert together["inputs_length"].tolist() == [200 // samples, -(-590 // samples)]
        alone = prepared(SPEECH, [sound(0)], vocabulary, audio_input=kind)
        assert np.array_equal(together["inputs"][0, : 200 // samples], alone["inputs"][0])


def test_raw_inputs_that_are_too_long_are_cut(vocabulary):
    text = prepared(TRANSLATE, [LONG, "a"], vocabulary)["inputs"]
    assert text.shape == (2, 40)
    assert tuple(text[0]) == (*vocabulary.encode(LONG)[:39], 1)
    cut = prepared(SPEECH, [sound(20)], vocabulary, audio_input="waveform")
    assert cut["inputs_length"].tolist() == [1600]
    pcm = decode_audio(sound(20), 4000, "sound").samples[:1600]
    np.testing.assert_allclose(cut["inputs"][0], (pcm - pcm.mean()) / pcm.std(), atol=1e-3)


def test_damaged_raw_inputs_are_named(vocabulary):
    with pytest.raises(DataError, match="the image is a"):
        prepared(CAPTION, [picture(0)[:-30]], vocabulary)
    with pytest.raises(DataError, match="the sound is cut short"):
        prepared(SPEECH, [sound(1)[:-30]], vocabulary)
    with pytest.raises(TypeError, match="a label is no input"):
        prepare_inputs(CLASSES, ["red"], HPARAMS, vocabulary)


def test_missing_records_are_named_with_the_command(tmp_path, data_dir):
    with pytest.raises(DataError, match="make them with: mm-datagen --problems=translate"):
        TrainingBatches(TRANSLATE, tmp_path, HPARAMS, 1)
    with pytest.raises(DataError, match="no split 'test'; there are: train, dev"):
        evaluation_batches(dataclasses.replace(TRANSLATE), data_dir, HPARAMS, "test")


def test_augmented_sound_is_the_same_after_resuming(data_dir):
    hparams = HPARAMS.override(speed_perturbation=0.1, noise_probability=0.5, frequency_masks=1, time_masks=1)
    whole = TrainingBatches(SPEECH, data_dir, hparams, seed=3)
    batches = [{name: value.numpy() for name, value in next(whole).items()} for _ in range(2)]
    again = TrainingBatches(SPEECH, data_dir, hparams, 3, whole.position)
    for _ in range(4):
        resumed, going_on = next(again), next(whole)
        assert all((resumed[name].numpy() == value.numpy()).all() for name, value in going_on.items())
    plain = some_training(SPEECH, data_dir, 2, seed=3)
    assert any(
        a["inputs"].shape != b["inputs"].shape or (a["inputs"] != b["inputs"]).any() for a, b in zip(batches, plain, strict=True)
    )
    for augmented, usual in zip(dev(SPEECH, data_dir, hparams), dev(SPEECH, data_dir), strict=True):
        np.testing.assert_array_equal(augmented["inputs"], usual["inputs"])


# Fixed shapes

FIXED = HPARAMS.override("fixed_shapes=true")


def grown(value, shape, filler=0):
    """Returns `value` padded at its ends to `shape`."""
    ends = [(0, size - own) for size, own in zip(shape, value.shape, strict=True)]
    return np.pad(value, ends, constant_values=filler)


@pytest.mark.parametrize("problem", ALL, ids=lambda problem: problem.name)
def test_fixed_shapes_are_the_same_batches_padded_to_a_declared_shape(problem, data_dir):
    shapes, seen = declared_shapes(problem.spec(), HPARAMS), set()
    plain, padded = some_training(problem, data_dir, 30), some_training(problem, data_dir, 30, hparams=FIXED)
    for wanted, batch in zip(plain, padded, strict=True):
        fillers = {"targets": -1} if isinstance(problem.targets, Label) else {}
        assert batch.keys() == wanted.keys()
        for name, value in batch.items():
            np.testing.assert_array_equal(value, grown(wanted[name], value.shape, fillers.get(name, 0)))
        place = shapes.inputs.index(batch["inputs"].shape[1]) if shapes.inputs else 0
        assert len(batch["inputs"]) == len(batch["targets"]) == shapes.rows[place]
        if shapes.targets:
            assert batch["targets"].shape[1] in shapes.targets
        seen.add((batch["inputs"].shape, batch["targets"].shape))
    assert 1 <= len(seen) <= shapes.number
    assert len(seen) <= len({tuple(value.shape for value in batch.values()) for batch in plain})


def test_shapes_are_as_many_as_buckets():
    numbers = {problem.name: declared_shapes(problem.spec(), HPARAMS).number for problem in ALL}
    # Texts of 6, 8, 10, 12, 16, 20, 24, 32 and 40 tokens; captions of 16 and 40; sounds of 0.4 s, with targets of 16 and 40.
    assert numbers == {"translate": 9, "caption": 2, "class": 1, "speech": 2, "topic": 9, "back": 9}
    (line,) = shape_lines([TRANSLATE.spec(), CAPTION.spec()], FIXED)
    assert line == "fixed shapes: a batch has one of 11 shapes (translate 9, caption 2); its padding has weight 0"
    assert shape_lines([TRANSLATE.spec()], HPARAMS) == []


@pytest.mark.parametrize("problem", ALL, ids=lambda problem: problem.name)
def test_evaluation_is_padded_if_asked_for_and_keeps_longer_examples(problem, data_dir):
    shapes = declared_shapes(problem.spec(), FIXED, training=False)
    batches = list(evaluation_batches(problem, data_dir, FIXED, padded=True).as_numpy_iterator())
    real = (batch["targets"] >= 0 if isinstance(problem.targets, Label) else batch["targets"][:, 0] > 0 for batch in batches)
    assert sum(map(np.count_nonzero, real)) == sum(len(batch["targets"]) for batch in dev(problem, data_dir, FIXED))
    for batch in batches:
        place = shapes.inputs.index(batch["inputs"].shape[1]) if shapes.inputs else 0
        assert len(batch["targets"]) == shapes.rows[place]


def test_fixed_shapes_resume_at_their_position_and_count_real_examples(data_dir):
    whole = TrainingBatches(TRANSLATE, data_dir, FIXED, 3)
    plain = TrainingBatches(TRANSLATE, data_dir, HPARAMS, 3)
    for _ in range(7):
        next(whole), next(plain)
    assert (whole.position, whole.examples) == (plain.position, plain.examples)
    again = TrainingBatches(TRANSLATE, data_dir, FIXED, 3, whole.position, whole.examples)
    for _ in range(3):
        first, second = next(whole), next(again)
        assert all(np.array_equal(first[name], second[name]) for name in first)
    assert whole.examples == again.examples
