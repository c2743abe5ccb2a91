"""`t2t_multimodel.load`: what a user can hand it, and what comes back."""

import random

import keras
import numpy as np
import pictures
import pytest
import small_run
import sounds
import tensorflow as tf
from PIL import Image as Picture

import t2t_multimodel
from t2t_multimodel.data.trees import read_tree
from t2t_multimodel.utils.errors import DataError, UnknownNameError


def draws():
    """The next number of each random generator of the process, and whether TensorFlow optimises the caller's functions."""
    optimised = not tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    return random.random(), np.random.random(), float(tf.random.uniform([])), optimised


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A model with its initial weights, as mm-trainer leaves it at step 7; draws without loading it, and draws around that."""
    folder = small_run.make(tmp_path_factory.mktemp("run"))
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})  # other tests of the process may have
    keras.utils.set_random_seed(3)
    undisturbed = [draws(), draws()]
    keras.utils.set_random_seed(3)
    around = [draws()]
    model = t2t_multimodel.load(folder, beam_size=2, n_best=2)
    around.append(draws())
    return model, undisturbed, around


@pytest.fixture
def model(loaded):
    return loaded[0]


def test_the_callers_process_is_left_as_it_was(loaded):
    _, undisturbed, around = loaded
    assert around == undisturbed
    assert undisturbed[1][-1]


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "a.png"
    Picture.new("RGB", (20, 16), "red").save(path)
    return path


def test_one_input_gives_one_output_and_a_list_a_list(model):
    one = model.translate("a dog", problem="ende")
    assert isinstance(one, str)
    assert model.translate(["a dog", "a cat"], problem="ende")[0] == one
    assert model.decode("ende", "a dog") == one
    assert model.step == 7


def test_the_experts_of_each_input_are_told(model, png):
    one, nothing = model.experts("ende", ["a dog and a cat", " "])
    assert one.shape == (2,) and one.dtype == np.float32 and one.sum() == pytest.approx(1, abs=1e-5)
    assert nothing.size == 0
    assert model.experts("picture", png).shape == (2,)


def test_given_outputs_have_log_probabilities(model):
    one = model.log_probs("ende", "a dog", "ein Hund")
    assert one.log_prob == pytest.approx(sum(one.token_log_probs)) and "".join(one.tokens).strip() == "ein Hund"
    several = model.log_probs("ende", ["a dog", "a"], ["ein Hund", "ein"])
    assert several[0].log_prob == pytest.approx(one.log_prob, abs=1e-3)
    with pytest.raises(ValueError, match="each input needs a target; got 2 inputs and 1 targets"):
        model.log_probs("ende", ["a dog", "a"], ["ein"])
    with pytest.raises(DataError, match="target 1: unknown class 'cta'; did you mean cat"):
        model.log_probs("picture", np.zeros((16, 16, 3), np.uint8), "cta")


def test_outputs_have_token_scores_and_say_where_the_model_looks(model, png):
    for problem, given, positions in (("ende", "a dog", None), ("parse", "a dog", None), ("caption", png, 16)):
        plain, scored = model.n_best(problem, given), model.n_best(problem, given, attention=True)
        assert [output._replace(pair=None) for output in scored] == plain and plain[0].pair is None
        for output in scored:
            pair = output.pair
            penalty = ((5 + len(pair.tokens)) / 6) ** 0.6
            assert pair.log_prob == pytest.approx(sum(pair.token_log_probs)) == pytest.approx(output.score * penalty, abs=1e-3)
            weights = pair.attention.weights
            np.testing.assert_allclose(weights.sum(axis=1), np.ones(len(pair.tokens)), atol=1e-5)
            assert positions in (None, weights.shape[1]) and pair.attention.shape == ((4, 4) if positions else None)
    given = model.log_probs("ende", "a dog", "ein Hund", attention=True)
    assert given.attention.weights.shape[0] == len(given.tokens) and model.log_probs("ende", "a", "ein").attention is None
    assert model.n_best("ende", "a dog", token_scores=True)[0].pair.attention is None
    assert model.n_best("picture", png, attention=True)[0].pair is None


def test_blanks_and_composed_letters_are_those_of_training(model):
    same = ["a d\u00fc", "a  du\u0308\r\n", "\ufeffa\u00a0d\u00fc", "a\u2028d\u00fc\u3000", "a\u0085d\u00fc", " a\u200bd\u00fc"]
    assert len(set(model.translate(same, problem="ende"))) == 1


def test_an_image_may_be_a_path_bytes_or_an_array(model, png):
    with Picture.open(png) as picture:
        found = model.caption([png, str(png), png.read_bytes(), np.asarray(picture), picture, picture.convert("CMYK")])
        assert model.caption(picture) == found[0]
    assert len(set(found)) == 1
    classes = model.classify(png, top=2)
    assert len(classes) == 2
    assert classes[0][0] in ("cat", "dog", "owl")
    assert classes[0][1] >= classes[1][1]


def test_a_picture_gives_one_answer_as_a_path_bytes_and_an_image_of_pillow(model, tmp_path):
    for name, content in pictures.files().items():
        if name in ("exif6<.jpg", "transparent.png", "a.gif", "1bit.png", "ycck.jpg", "exif8.tif"):
            path = tmp_path / name
            path.write_bytes(content)
            with Picture.open(path) as image:
                found = model.n_best("caption", [path, content, image, pictures.seen(content)])
            assert all(abs(best[0].score - found[0][0].score) < 0.02 for best in found), name


def test_a_sound_may_be_a_path_bytes_or_an_array(model, tmp_path):
    samples = np.random.default_rng(0).integers(-16384, 16384, 400, dtype=np.int16)
    path = tmp_path / "a.wav"
    path.write_bytes(sounds.write(samples, rate=1000))
    flac, floats = sounds.write(samples, "FLAC", rate=1000), (samples / 32768).astype(np.float32)
    given = [
        samples,
        floats,
        floats.astype(np.float64),
        path,
        str(path),
        path.read_bytes(),
        flac,
        sounds.wav(samples.tobytes(), 0, rate=1000),
    ]
    assert len(set(model.transcribe(given))) == 1


def test_sounds_that_are_not_read_are_named(model):
    good = np.zeros(100, np.int16)
    for bad, message in (
        (sounds.write()[:99], "is cut short"),
        (good[:0], "holds no samples"),
        (good + np.float32(9), "full scale is 1"),
    ):
        with pytest.raises(DataError, match=f"^input 2 of 2 .*{message}"):
            model.transcribe([good, bad])
    with pytest.raises(ValueError, match=r"int16 \[samples\], or floats \[samples\], got int32 \[3\]"):
        model.transcribe(np.zeros(3, np.int32))


def test_texts_may_come_in_an_array_or_as_bytes_and_nothing_gives_nothing(model):
    one = model.translate("a dog", problem="ende")
    assert model.translate(np.array(["a dog", "", " \n"]), problem="ende") == [one, "", ""]
    assert model.translate(b"a dog\n", problem="ende") == one
    assert model.translate("", problem="ende") == model.translate(" \u200b\n", problem="ende") == model.parse("") == ""
    assert model.n_best("ende", "") == []
    assert model.translate([], problem="ende") == []


def test_it_says_what_it_is(model):
    text = "<LoadedModel at step 7: ende: text -> text (to_german); "
    assert repr(model).startswith(text)


def test_even_an_untrained_model_parses_into_trees_over_the_words(model):
    for sentence in ("a dog", "a dog and a cat", "dog"):
        assert read_tree(model.parse(sentence)).leaves() == sentence.split()
    leaves = read_tree(model.parse(" ".join(["dog"] * 200))).leaves()  # cut: a tree over the words that are left
    assert 0 < len(leaves) < 200


def test_n_best_outputs_come_with_scores(model):
    best = model.n_best("ende", "a dog")
    assert len(best) == 2
    assert best[0].score >= best[1].score
    assert best[0].text == model.translate("a dog", problem="ende")
    assert [len(model.n_best("ende", "a dog", n=n)) for n in (1, 3)] == [1, 3]
    assert model.n_best("ende", "a dog", n=1)[0].text == best[0].text
    assert len(model.n_best("picture", np.zeros((9, 9, 3), np.uint8), n=3)) == 3
    with pytest.raises(ValueError, match="n must be 1 or more, got 0"):
        model.n_best("ende", "a dog", n=0)


def test_sentences_to_parse_may_have_brackets_and_quotes(model):
    typed, spelled = model.n_best("parse", ['a ( dog ) / "', "a -LRB- dog -RRB- \\/ ``"])
    assert [output.score for output in typed] == pytest.approx([output.score for output in spelled], abs=1e-3)
    assert read_tree(typed[0].text).leaves() == ["a", "-LRB-", "dog", "-RRB-", "/", '"']
    assert all(output.well_formed for output in typed + spelled)


def test_mistakes_are_named(model, tmp_path):
    with pytest.raises(ValueError, match="this model has 2 problems of translation; name one of: ende, enfr"):
        model.translate("a dog")
    with pytest.raises(UnknownNameError, match="unknown problem 'endo'; did you mean ende"):
        model.decode("endo", "a dog")
    with pytest.raises(DataError, match="there is no file"):
        model.caption("none.png")
    for problem, value, message in (
        ("caption", np.zeros((4, 4, 3)), r"a PIL.Image, or uint8 \[H, W, C\], got float64 \[4, 4, 3\]"),
        ("caption", 3, "the problem takes the path or the bytes of an image, .*, got int '3'"),
        ("speech", np.zeros((2, 400)), r"or floats \[samples\], got float64 \[2, 400\]"),
        ("ende", np.zeros(3), r"the problem takes text, got float64 \[3\]"),
        ("ende", [3], "the problem takes text, got int '3'"),
        ("ende", None, "the problem takes text, got NoneType 'None'"),
    ):
        with pytest.raises(ValueError, match=message):
            model.decode(problem, value)
    with pytest.raises(DataError, match="is no output_dir of mm-trainer"):
        t2t_multimodel.load(tmp_path)
