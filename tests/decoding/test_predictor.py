"""The Predictor around a fake search and a vocabulary of words: order, batches, labels, trees, limits."""

import io
import wave

import numpy as np
import pytest
from PIL import Image as Picture

from t2t_multimodel.config import HParams
from t2t_multimodel.decoding.encoding import Classified
from t2t_multimodel.decoding.inputs import output_limits, tiny_example
from t2t_multimodel.decoding.predictor import Predictor, bracketed
from t2t_multimodel.decoding.strategies import BeamSearch, Hypotheses
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text
from t2t_multimodel.utils.errors import DataError, UnknownNameError

SPECS = [
    ProblemSpec("copy", Text(), Text(), "to_copy"),
    ProblemSpec("parse", Text(), Text("tree"), "to_parse_tree"),
    ProblemSpec("picture", Image(8, 8), Label(("cat", "dog", "owl")), "to_class"),
    ProblemSpec("speech", Audio(1000), Text(), "to_english"),
]
HPARAMS = HParams().override("max_length=40,mel_bins=4,audio_input=spectrogram")


class Words:
    """A vocabulary that gives each new word the next id."""

    def __init__(self):
        self.words = ["<pad>", "<eos>", "<unk>"]

    def encode_feature(self, feature, text):
        self.words += [word for word in text.split(" ") if word not in self.words]
        return [self.words.index(word) for word in text.split(" ")]

    def decode(self, ids, with_symbols=True):
        return " ".join(self.words[i] for i in ids if i > 1)

    @property
    def size(self):
        return len(self.words)

    @property
    def symbols(self):
        return {word: i for i, word in enumerate(self.words) if i > 2 and word.strip("()").isupper()}


class FakeSearch:
    """Returns the input as output and remembers its batches. Classes with higher indices are likelier."""

    def __init__(self):
        self.batches = []

    def decode_parts(self, parts, strategy, trees=None):
        return [(self.outputs(part.batch, strategy), shares(part.batch)) for part in parts]

    def outputs(self, batch, strategy):
        self.batches.append(batch["inputs"])
        size = len(batch["inputs"])
        ids = batch["inputs"] if batch["inputs"].ndim == 2 else np.full((size, 2), 1, np.int32)
        best = strategy.n_best if isinstance(strategy, BeamSearch) else 1
        return Hypotheses(np.repeat(ids[:, None], best, axis=1), -np.tile(np.arange(best), (size, 1)).astype("float32"))

    def classify(self, problem, batch):
        self.batches.append(batch["inputs"])
        logits = np.tile(np.log([[0.1, 0.7, 0.2]]), (len(batch["inputs"]), 1)).astype("float32")
        return Classified(logits, np.zeros((len(logits), 0)))


def shares(batch):
    lengths = (np.asarray(batch["inputs"]).reshape(len(batch["inputs"]), -1) != 0).sum(axis=1)
    return np.stack([1 / lengths, 1 - 1 / lengths], axis=1)


class SaysTree(FakeSearch):
    def __init__(self, words, tree):
        super().__init__()
        self.ids = words.encode_feature(None, tree)

    def outputs(self, batch, strategy):
        size = len(batch["inputs"])
        return Hypotheses(np.array([[self.ids]] * size, np.int32), np.zeros((size, 1), "float32"))


def decoder(search=None, words=None):
    return Predictor(None, SPECS, words or Words(), HPARAMS, search or FakeSearch())


def png():
    file = io.BytesIO()
    Picture.new("RGB", (12, 9), "red").save(file, "PNG")
    return file.getvalue()


def wav():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(1000)
        sound.writeframes(b"\1\0" * 300)
    return file.getvalue()


def test_outputs_come_in_the_order_of_inputs_and_batches_hold_like_lengths():
    search, done = FakeSearch(), []
    raws = ["a", "a b c d", "a b", "b c d a", "c"]
    assert decoder(search).decode("copy", raws, batch_size=2, progress=done.append) == raws
    assert [batch.shape for batch in search.batches] == [(2, 5), (2, 3), (1, 2)]
    assert done == [2, 2, 1]


def test_answers_hold_as_many_outputs_as_asked_for_with_scores_tokens_and_times():
    made = decoder()
    made.strategy = BeamSearch(4, n_best=3)
    short, long = made.predict("copy", ["a", "a b c"])
    assert [(output.text, output.score) for output in short.outputs] == [("a", 0.0), ("a", -1.0), ("a", -2.0)]
    assert (short.tokens, long.tokens) == (2, 4)
    assert short.seconds > 0
    names = [(output.text, output.score) for output in made.predict("picture", [png()])[0].outputs]
    assert names == [
        ("dog", pytest.approx(np.log(0.7))),
        ("owl", pytest.approx(np.log(0.2))),
        ("cat", pytest.approx(np.log(0.1))),
    ]


def test_an_input_that_will_be_cut_is_told():
    made = decoder()
    assert made.longest_input("copy", " ".join("a" * 39)) == ""
    assert made.longest_input("copy", " ".join("a" * 40)) == "its first 39 tokens"
    assert made.longest_input("speech", wav()) == ""
    assert made.longest_input("picture", png()) == ""
    tight = Predictor(None, SPECS, Words(), HPARAMS.override("max_seconds=0.2"), FakeSearch())
    assert tight.longest_input("speech", wav()) == "its first 0.2 seconds"


def test_nothing_in_is_nothing_out():
    assert decoder().decode("copy", []) == []
    assert decoder().classify("picture", []) == []


def test_images_become_classes_with_their_probabilities():
    assert decoder().decode("picture", [png(), png()]) == ["dog", "dog"]
    found = decoder().classify("picture", [png()], top=2)
    assert [name for name, _ in found[0]] == ["dog", "owl"]
    assert [probability for _, probability in found[0]] == pytest.approx([0.7, 0.2], abs=1e-6)


def test_sound_is_decoded():
    search = FakeSearch()
    assert decoder(search).decode("speech", [wav()]) == [""]
    assert search.batches[0].shape == (1, 30, 4)


def test_a_well_formed_tree_gets_the_words_of_the_input():
    words = Words()
    search = SaysTree(words, "(S (NP DT NN )NP (VP VBZ )VP )S")
    found = decoder(search, words).decode("parse", ["the  dog barks", "two words"])
    assert found == ["(S (NP (DT the) (NN dog)) (VP (VBZ barks)))", "(S (NP DT NN )NP (VP VBZ )VP )S"]


def test_trees_can_be_held_to_the_words_of_the_input():
    words, asked = Words(), []
    words.encode_feature(None, "(S )S NN")
    search = SaysTree(words, "(S NN )S")
    free, held = (Predictor(None, SPECS, words, HPARAMS, search, well_formed_trees=wanted) for wanted in (False, True))
    decode = search.decode_parts
    search.decode_parts = lambda parts, strategy, trees: asked.append((trees, parts[0].words)) or decode(parts, strategy, trees)
    free.decode("parse", ["a b"])
    held.decode("parse", ["a b", "c"])
    held.decode("copy", ["a b"])
    assert asked[0] == asked[2] == (None, None)
    assert asked[1][0] is not None
    assert asked[1][1].tolist() == [2, 1]


def test_sentences_are_read_in_a_treebanks_spelling_and_shown_as_typed():
    words = Words()
    words.encode_feature(None, "(S P P DT NN P )S")
    typed, spelled = 'see ( [the dog] "', "see -LRB- -LSB-the dog-RSB- ``"
    search = SaysTree(words, "(S P P DT NN P )S")
    held = Predictor(None, SPECS, words, HPARAMS, search, well_formed_trees=True)
    assert held.decode("parse", [typed]) == ['(S (P see) (P -LRB-) (DT [the) (NN dog]) (P "))']
    assert held.decode("parse", [spelled]) == ["(S (P see) (P -LRB-) (DT -LSB-the) (NN dog-RSB-) (P ``))"]
    said = FakeSearch()
    Predictor(None, SPECS, words, HPARAMS, said).decode("parse", [typed, spelled])
    assert (said.batches[0][0] == said.batches[0][1]).all()
    assert words.decode(said.batches[0][0]) == spelled


def test_raw_trees_are_linearised_well_formed_or_not_and_marked():
    words = Words()
    search = SaysTree(words, "(S NN NN )S")
    raw = Predictor(None, SPECS, words, HPARAMS, search, well_formed_trees=False)
    found = [answer.outputs[0] for answer in raw.predict("parse", ["a b", "c"])]
    assert [output.text for output in found] == ["(S NN NN )S"] * 2
    assert [output.well_formed for output in found] == [True, False]
    assert raw.predict("copy", ["a"])[0].outputs[0].well_formed is None


def test_a_call_may_have_a_strategy_of_its_own():
    found = decoder().predict("copy", ["a b"], strategy=BeamSearch(4, 0.6, 3))
    assert len(found[0].outputs) == 3 and len(decoder().predict("copy", ["a b"])[0].outputs) == 1


def test_the_evaluation_gets_trees_as_the_model_wrote_them():
    words = Words()
    batch = {"inputs": np.ones((1, 4), np.int32)}
    assert decoder(SaysTree(words, "(S NN )S"), words).decode_batch("parse", batch) == ["(S NN )S"]


def test_brackets_among_the_words_of_a_tree_are_escaped():
    assert bracketed(["(", "dogs"], "(X P N )X") == "(X (P -LRB-) (N dogs))"


@pytest.mark.parametrize(
    ("spec", "batch", "limits"),
    [
        (SPECS[0], {"inputs": np.array([[3, 4, 1], [1, 0, 0]])}, [26, 22]),
        (SPECS[1], {"inputs": np.array([[3, 4, 1], [1, 0, 0]])}, [32, 24]),
        (SPECS[0], {"inputs": np.ones((1, 30))}, [40]),
        (SPECS[3], {"inputs": np.zeros((2, 50, 4)), "inputs_length": np.array([50, 10])}, [30, 22]),
        (ProblemSpec("caption", Image(), Text(), "to_english"), {"inputs": np.zeros((1, 8, 8, 3))}, [40]),
    ],
)
def test_the_longest_output_depends_on_the_input(spec, batch, limits):
    found = output_limits(spec, batch, HPARAMS).numpy()
    assert found.dtype == np.int32
    assert found.tolist() == limits


def test_the_experts_of_each_input_are_told():
    found = decoder().predict("copy", ["a", "a b c"])
    assert [prediction.experts for prediction in found] == [(0.5, 0.5), (0.25, 0.75)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_warming_up_decodes_a_tiny_example(spec):
    search = FakeSearch()
    decoder(search).warm_up(spec.name)
    assert len(search.batches) == 1
    assert len(tiny_example(spec)) > 0


def test_mistakes_are_named():
    with pytest.raises(UnknownNameError, match="unknown problem 'copi'; did you mean copy"):
        decoder().decode("copi", ["a"])
    with pytest.raises(ValueError, match="copy gives text, no classes"):
        decoder().classify("copy", ["a"])
    with pytest.raises(DataError, match="truncated"):
        decoder().decode("picture", [png()[:-20]])
