"""Writes SavedModels that take strings and return strings. They hold tokeniser, network and search, and run without this package.

Letters in shapes: B inputs, n outputs per input, T tokens of an output.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data import preprocess
from t2t_multimodel.data.graph import sound as graph_sound
from t2t_multimodel.data.graph.pictures import any_pixels
from t2t_multimodel.data.graph.tokenizer import GraphTokenizer
from t2t_multimodel.data.trees import SPELLING
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.decoding.constraints import WellFormedTrees
from t2t_multimodel.decoding.encoding import Source
from t2t_multimodel.decoding.inputs import output_limits
from t2t_multimodel.decoding.search import generate_tokens
from t2t_multimodel.decoding.strategies import BeamSearch, Strategy
from t2t_multimodel.export_weights import StoredWeights
from t2t_multimodel.features import Audio, Batch, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.runs.run_config import VOCABULARY, RunConfig, open_run
from t2t_multimodel.tf_internals import traced
from t2t_multimodel.utils.console import only_informs, print_line
from t2t_multimodel.utils.constants import EOS_ID, LOWEST, PAD_ID
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import check_writable, whole_folder
from t2t_multimodel.utils.json_lines import newest_by_step, read_json_lines
from t2t_multimodel.utils.plain_path import plain_path
from t2t_multimodel.utils.standard_error import standard_error_held_back
from t2t_multimodel.utils.units import with_unit

BEST = "best.json"  # beside a best checkpoint, see training.best
NO_FIGURES = "None were measured at step {step:,}; `mm-trainer --schedule=evaluate` before the next export adds some."
USE = """## Use

* The SavedModel: `import tensorflow as tf, tensorflow_text`, then `tf.saved_model.load(folder).signatures[problem](inputs=...)`.
  Without `import tensorflow_text`, whose operations hold the tokeniser, TensorFlow cannot load it.
* `model.keras`, the network alone, from ids to logits: `import t2t_multimodel`, which registers its classes, then
  `keras.saving.load_model("model.keras")`."""


PICTURES = """An input that is an image is the bytes of a JPEG or PNG file; other formats are refused. What a person sees is
read: a picture is turned by its EXIF orientation (a JPEG if EXIF is its first or second segment, as cameras write it); a PNG
is laid over white where it is transparent, and 16-bit grey is scaled by the bits that its largest value needs."""


class ServedModel(tf.Module):
    """A model's problems as functions of strings: `serve[problem]`, and a signature with the problem's name.

    Each takes "inputs", strings [B]: sentences, or the bytes of images (JPEG, PNG) or of sounds (`data.graph.sound.READ`). It
    returns "outputs", strings [B, n], and "scores", float32 [B, n], the best first; "" and 0 for a sentence without words. Where
    classes have words (see features.Label), "words", strings [B, n], has those of the outputs.
    tensorflow_text's operations must be loaded: `import tensorflow_text`.

    Args:
        model: a MultiModel with its weights.
        specs: the problems to serve.
        vocabulary: the bytes of its SentencePiece model.
        hparams: the hyperparameters of the model's run.
        strategy: the decoding strategy.
        well_formed_trees: see decoding.predictor.Predictor.
        weights: the type that weights are stored in, one of export_weights.KINDS.
    """

    def __init__(
        self,
        model: Model,
        specs: tuple[ProblemSpec, ...],
        vocabulary: bytes,
        hparams: HParams,
        strategy: Strategy,
        well_formed_trees: bool = True,
        weights: str = "float32",
    ) -> None:
        super().__init__()
        self._hparams, self._strategy = hparams, strategy
        self._weights = None if weights == "float32" else StoredWeights(model.variables, weights)
        # Whatever an attribute of a tf.Module refers to is saved: the model's own variables only where they are read.
        self._own_weights = [] if self._weights else [variable.value for variable in model.variables]
        self._of_model = lambda: model
        with standard_error_held_back():  # SentencePiece logs that the vocabulary does not normalise
            self._tokenizer = GraphTokenizer(vocabulary)
        self._vocabulary = Vocabulary(vocabulary)
        rules = WellFormedTrees(self._vocabulary.symbols, self._vocabulary.size)
        self._rules = rules if well_formed_trees and rules.possible else None
        self.serve = {spec.name: self._function(spec) for spec in specs}

    def _function(self, spec: ProblemSpec) -> Any:
        def serve(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            with self._weights.in_use() if self._weights else contextlib.nullcontext():
                return tf.cond(tf.size(inputs) > 0, lambda: self._answers(spec, inputs), lambda: self._no_answers(spec))

        return traced(serve, input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])

    def _answers(self, spec: ProblemSpec, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = self._prepare(spec, inputs)
        encoded = self._model.encode(batch["inputs"], batch.get("inputs_length"), spec.name, training=False)
        if isinstance(spec.targets, Label):
            answers = self._classes(spec.targets, self._model.classify(encoded, spec.name, training=False))
        else:
            answers = self._generate(spec, inputs, batch, encoded)
        if not isinstance(spec.inputs, Text):
            return answers
        has_words = (self._tokenizer.normalize(inputs, "spaces") != "")[:, None]
        return {name: tf.where(has_words, values, tf.zeros_like(values)) for name, values in answers.items()}

    def _no_answers(self, spec: ProblemSpec) -> dict[str, tf.Tensor]:
        shape = (0, min(self._n_best, len(spec.targets.classes)) if isinstance(spec.targets, Label) else self._n_best)
        answers = {"outputs": tf.zeros(shape, tf.string), "scores": tf.zeros(shape, tf.float32)}
        return answers | ({"words": answers["outputs"]} if isinstance(spec.targets, Label) and spec.targets.words else {})

    @property
    def weights_size(self) -> int:
        """Returns the number of bytes of the weights as they are stored."""
        own = self._weights.all() if self._weights else self._own_weights
        return sum(value.shape.num_elements() * value.dtype.size for value in own)

    @property
    def _model(self) -> Model:
        return self._of_model()

    @property
    def _n_best(self) -> int:
        return self._strategy.n_best if isinstance(self._strategy, BeamSearch) else 1

    def _prepare(self, spec: ProblemSpec, inputs: tf.Tensor) -> Batch:
        """Returns the batch of the model's inputs, the same as data.pipeline.prepare_inputs makes."""
        feature, data = spec.inputs, self._hparams.data
        if isinstance(feature, Text):
            texts = self._tokenizer.normalize(inputs, feature.normalization)
            if is_tree(spec.targets):
                texts = spelled_as_treebank(texts)
            ids = self._tokenizer.tokenize(texts)[:, : data.max_length - 1]
            ended = tf.concat([tf.cast(ids, tf.int32), tf.fill([tf.shape(inputs)[0], 1], EOS_ID)], axis=1)
            return {"inputs": ended.to_tensor(PAD_ID)}
        if isinstance(feature, Image):

            def pixels(content: tf.Tensor) -> tf.Tensor:
                return preprocess.image_pixels(content, feature, decode=any_pixels)

            shape = (feature.height, feature.width, feature.channels)
            return {"inputs": tf.map_fn(pixels, inputs, fn_output_signature=tf.TensorSpec(shape, tf.float32))}
        assert isinstance(feature, Audio)
        longest = int(data.max_seconds * feature.sample_rate)
        count = tf.size(inputs)
        names = tf.strings.join(["input ", tf.as_string(tf.range(1, count + 1)), " of ", tf.as_string(count)])

        def heard(sound: tuple[tf.Tensor, tf.Tensor]) -> tf.RaggedTensor:
            samples = graph_sound.wav_samples(sound[0], feature.sample_rate, sound[1])[:longest]
            values = preprocess.sound_features(samples, feature.sample_rate, self._hparams.model.audio_input, data)
            return tf.RaggedTensor.from_tensor(values[None])[0]

        bins = [data.mel_bins] if self._hparams.model.audio_input == "spectrogram" else []
        spec_of_row = tf.RaggedTensorSpec([None, *bins], tf.float32, ragged_rank=0)
        rows = tf.map_fn(heard, (inputs, names), fn_output_signature=spec_of_row)
        return {"inputs": rows.to_tensor(), "inputs_length": tf.cast(rows.row_lengths(), tf.int32)}

    def _generate(self, spec: ProblemSpec, inputs: tf.Tensor, batch: Batch, encoded: Any) -> dict[str, tf.Tensor]:
        limits = output_limits(spec, batch, self._hparams)
        words = tf.strings.split(self._tokenizer.detokenize(batch["inputs"])) if is_tree(spec.targets) else None
        constraint = None
        if words is not None and self._rules:
            counts = tf.cast(words.row_lengths(), tf.int32)
            limits, constraint = tf.maximum(limits, self._rules.shortest(counts)), (self._rules, counts)
        ids, scores = generate_tokens(
            self._model,
            spec.name,
            Source(encoded.states, encoded.mask),
            limits,
            tf.reduce_max(tf.concat([limits, [1]], 0)),
            tf.fill(tf.shape(limits), self._model.space_index(spec.name)),
            self._strategy,
            constraint,
        )
        if words is not None:
            # If there are fewer than n possible trees, the last outputs are empty.
            trees = self._bracketed(ids, self._typed(spec, inputs, words)) if self._rules else self._linearised(ids)
            return {"outputs": tf.where(scores > LOWEST / 10, trees, ""), "scores": scores}
        texts = self._tokenizer.detokenize(tf.reshape(ids, (-1, tf.shape(ids)[2])))
        return {"outputs": tf.reshape(texts, tf.shape(scores)), "scores": scores}

    def _typed(self, spec: ProblemSpec, inputs: tf.Tensor, words: tf.RaggedTensor) -> tf.Tensor:
        """Returns the words as they were typed, [B, most words + 1], "" after the last one; see data.trees.typed_words."""
        feature = spec.inputs
        assert isinstance(feature, Text)
        texts = self._tokenizer.normalize(inputs, feature.normalization)
        read = words.to_tensor("")
        read = tf.concat([read, tf.fill([tf.shape(read)[0], 1], "")], axis=1)
        typed, spelled = (
            tf.concat([tf.strings.split(each).to_tensor(""), tf.fill(tf.shape(read), "")], axis=1)[:, : tf.shape(read)[1]]
            for each in (texts, spelled_as_treebank(texts))
        )
        shown = tf.where(spelled == read, typed, read)
        return tf.strings.regex_replace(tf.strings.regex_replace(shown, r"\(", "-LRB-"), r"\)", "-RRB-")

    def _bracketed(self, ids: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        """Returns the bracketed trees [B, n] of linearised trees `ids` [B, n, T] over `words` [B, most words + 1]."""
        before, tags, after = self._symbol_parts()
        is_tag = tf.gather(tags, ids)
        place = tf.cumsum(tf.cast(is_tag, tf.int32), axis=2, exclusive=True)
        word = tf.gather(words, tf.minimum(place, tf.shape(words)[1] - 1), batch_dims=1)
        parts = tf.strings.join([tf.gather(before, ids), tf.where(is_tag, word, ""), tf.gather(after, ids)])
        return tf.strings.strip(tf.strings.reduce_join(parts, axis=2))

    def _symbol_parts(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns by id: the text before its word, whether it has a word, and the text after it."""
        before, after = np.full(self._vocabulary.size, "", object), np.full(self._vocabulary.size, "", object)
        tags = np.zeros(self._vocabulary.size, bool)
        for symbol, i in self._vocabulary.symbols.items():
            if symbol.startswith("("):
                before[i] = f" {symbol}"
            elif symbol.startswith(")"):
                after[i] = ")"
            else:
                before[i], tags[i], after[i] = f" ({symbol} ", True, ")"
        return tf.constant(before.tolist()), tf.constant(tags), tf.constant(after.tolist())

    def _linearised(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the texts [B, n] of `ids` [B, n, T], as Vocabulary.decode: blanks around symbols, none between pieces."""
        size = self._vocabulary.size
        is_symbol = tf.gather(np.isin(np.arange(size), list(self._vocabulary.symbols.values())), ids)
        first = tf.range(tf.shape(ids)[2]) == 0
        behind_symbol = tf.pad(is_symbol[:, :, :-1], [[0, 0], [0, 0], [1, 0]])
        apart = (is_symbol | behind_symbol) & ~first & (ids > EOS_ID)
        pieces = tf.gather(tf.constant([self._vocabulary.piece(i) for i in range(size)]), ids)
        starts_text = (first | behind_symbol) & ~is_symbol
        pieces = tf.where(starts_text, tf.strings.regex_replace(pieces, "^ ", ""), pieces)
        joined = tf.strings.reduce_join(tf.strings.join([tf.where(apart, " ", ""), pieces]), axis=2)
        return tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8", errors="replace")

    def _classes(self, targets: Label, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        scores, index = tf.math.top_k(tf.nn.log_softmax(logits), min(self._n_best, len(targets.classes)))
        answers = {"outputs": tf.gather(tf.constant(targets.classes), index), "scores": scores}
        return answers | ({"words": tf.gather(tf.constant(targets.words), index)} if targets.words else {})


def spelled_as_treebank(texts: tf.Tensor) -> tf.Tensor:
    """Returns sentences [B] in a treebank's spelling, as data.trees.treebank_spelling does."""
    for pattern, replacement in SPELLING:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return texts


def export_run(
    output_dir: Path | str,
    export_dir: Path | str,
    names: tuple[str, ...] | None,
    strategy: Strategy,
    well_formed_trees: bool = True,
    weights: str = "float32",
    report: Callable[[str], None] = print_line,
) -> Path:
    """Writes the newest weights of a run as a SavedModel, `model.keras` and a model card; returns `export_dir`.

    Everything is written to a folder beside `export_dir`, which is then renamed.

    Args:
        names: the problems to serve; None serves all of the run.
        weights: the type that the SavedModel's weights are stored in, one of export_weights.KINDS.
        report: takes lines on the progress; eight problems take a minute or two.

    Raises:
        DataError: there is no run or no such problem, `export_dir` exists or may not be written, or TensorFlow cannot load a
            model from its path.
    """
    if plain_path(export_dir) != str(export_dir):
        raise DataError(
            f"TensorFlow loads no SavedModel from a path with one of the signs [ * ? \\, as {export_dir}; name another"
        )
    export_dir = Path(export_dir)
    if export_dir.exists():
        raise DataError(f"{export_dir} exists; name a new folder")
    config = RunConfig.load(output_dir)
    known = [spec.name for spec in config.problems]
    if strange := [name for name in names or () if name not in known]:
        raise DataError(f"this run has no problem {', '.join(strange)}; there are: {', '.join(known)}")
    check_writable(export_dir.parent)
    report(f"reading the newest checkpoint in {output_dir}")
    config, _, model, step = open_run(output_dir)
    specs = tuple(spec for spec in config.problems if not names or spec.name in names)
    vocabulary = (Path(output_dir) / VOCABULARY).read_bytes()
    served = ServedModel(model, specs, vocabulary, config.hparams, strategy, well_formed_trees, weights)
    for number, (name, serve) in enumerate(served.serve.items(), start=1):
        report(f"step {step:,}: tracing {name} ({number} of {len(specs)})")
        serve.get_concrete_function()
    report("writing the SavedModel, model.keras and MODEL_CARD.md")
    with whole_folder(export_dir) as temporary:
        tf.saved_model.save(served, str(temporary), signatures={name: served.serve[name] for name in served.serve})
        model.save(temporary / "model.keras")
        card = model_card(config, specs, model.count_params(), step, Path(output_dir))
        (temporary / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    return export_dir


def model_card(config: RunConfig, specs: tuple[ProblemSpec, ...], parameters: int, step: int, output_dir: Path) -> str:
    """Returns MODEL_CARD.md: the problems, data, scores, size, date and configuration of a model."""
    today = datetime.datetime.now(datetime.UTC).date()
    figures: list[str] = []
    with only_informs("the table of figures in MODEL_CARD.md"):
        figures = _figures(output_dir, {spec.name for spec in specs}, step)
    lines = [
        f"# MultiModel, {config.hparams_set}",
        "",
        f"Exported on {today} from step {step:,}. {parameters:,} parameters, a vocabulary of {config.vocab_size:,} pieces "
        f"(sha256 {config.vocabulary_sha256[:16]}), t2t_multimodel {config.version}.",
        "",
        "| problem | input | output | target space |",
        "|---|---|---|---|",
        *(f"| {spec.name} | {spec.inputs.kind} | {spec.targets.kind} | {spec.target_space} |" for spec in specs),
        "",
        *_class_lines(specs),
        *_sound_lines(config, specs),
        USE,
        *(["", PICTURES] if any(isinstance(spec.inputs, Image) for spec in specs) else []),
        "",
        "## Figures",
        "",
        *(figures or [NO_FIGURES.format(step=step)]),
        "",
        "## Configuration",
        "",
        "```json",
        json.dumps(config.hparams.to_dict(), indent=1),
        "```",
        "",
        "The records it was trained on, their sources and licences: the manifests (`<problem>.json`) in the run's data_dir.",
    ]
    return "\n".join(lines) + "\n"


def _class_lines(specs: tuple[ProblemSpec, ...]) -> list[str]:
    """Returns the model card's paragraph on words of classes; [] if no classes have some."""
    lines = []
    for spec in specs:
        if isinstance(spec.targets, Label) and spec.targets.words:
            name, words = next(
                (name, words) for name, words in zip(spec.targets.classes, spec.targets.words, strict=True) if words
            )
            lines += [f"Classes of {spec.name}: `outputs` has their names, as {name}, `words` what they mean, as {words}.", ""]
    return lines


def _sound_lines(config: RunConfig, specs: tuple[ProblemSpec, ...]) -> list[str]:
    """Returns the model card's paragraph on sound; [] if no problem reads sound."""
    rates = {spec.name: spec.inputs.sample_rate for spec in specs if isinstance(spec.inputs, Audio)}
    if not rates:
        return []
    heard = ", ".join(f"{name} hears {rate:,} samples per second" for name, rate in rates.items())
    return [
        f"Sound: the SavedModel reads {graph_sound.READ}. Channels are averaged, other rates are resampled ({heard}), samples "
        "beyond full scale are clipped. What is cut short, damaged or of another kind or coding is an InvalidArgumentError that "
        f"says which input it is. Of longer sounds the first {config.hparams.data.max_seconds:g} seconds are heard.",
        "",
    ]


def _figures(output_dir: Path, names: set[str], step: int) -> list[str]:
    """Returns the model card's table of scores: the rows of metrics.jsonl at `step`, without those of training.

    Rows of other steps are of other weights. The scores of a best checkpoint are in the metrics.jsonl of its run, two folders up.
    """
    run_dir = output_dir.resolve().parent.parent if (output_dir / BEST).exists() else output_dir
    path = run_dir / "metrics.jsonl"
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in read_json_lines(path) if path.exists() else []:
        if row["problem"] in names and row["split"] != "train" and row["step"] == step:
            rows.setdefault((row["problem"], row["split"]), []).append(row)
    told = []
    for (problem, split), measured in sorted(rows.items()):
        row = newest_by_step(measured)[-1]
        values = [f"{k} {with_unit(k, v)}" for k, v in row.items() if isinstance(v, float) and k != "time"]
        values += [f"{k} {v}" for k, v in row.items() if k.endswith(("_signature", "_normalization"))]
        told.append(f"* {problem}, {split}, step {step:,}: {', '.join(values)}")
    return told
