"""The MultiModel: modality nets around one body (arXiv 1706.05137, section 2 and figure 2).

Letters in shapes: B batch (sentences in decoding), S source length, T target length, D depth, V vocabulary size, H height, C
channels, W width of an image or rows per sentence in beam search, R = B * W rows.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, ProblemSwitch, Text
from t2t_multimodel.layers.attention import attention_bias
from t2t_multimodel.layers.attention_weights import collected_weights
from t2t_multimodel.layers.cross_entropy import smoothed_cross_entropy
from t2t_multimodel.layers.decoding_cache import (
    ConvCaches,
    DecodeStep,
    initial_beam_indices,
    reorder_beams,
    replaced_rows,
)
from t2t_multimodel.layers.dropout import Dropout
from t2t_multimodel.layers.expert_capacity import FixedCapacity, current_capacity, fixed_capacity
from t2t_multimodel.layers.mixture_of_experts import Routing, balance_loss
from t2t_multimodel.layers.replicas import RealLengths, draws_over, replica_rows, unpadded_draws
from t2t_multimodel.layers.token_noise import TokenNoise
from t2t_multimodel.modalities import Embedded, modalities, modality_key
from t2t_multimodel.models.blocks import Decoder, Encoder, Mixer
from t2t_multimodel.models.decoding_state import DecodeConstants, DecodingState
from t2t_multimodel.utils.constants import EOS_ID, NO_LABEL, PAD_ID


class Encoded(NamedTuple):
    """An input as the encoder returns it.

    Attributes:
        states: [B, S, D], zero at padding.
        mask: float32 [B, S], 1 real, 0 padding.
        shape: (height, width) of an image's states, otherwise None.
        routing: the routing of the encoder's experts, or None.
    """

    states: Any
    mask: Any
    shape: tuple[Any, Any] | None
    routing: Routing | None


class LossTerms(NamedTuple):
    """The parts of a batch's loss. The training step divides the total by the weight of all replicas.

    Attributes:
        total: float32 scalar, the label-smoothed cross-entropy in nats, summed over target tokens (or examples with a label).
        weight: float32 scalar, the number of tokens or examples in the sum.
        routings: the routings of the encoder's and the decoder's experts, where there are any.
    """

    total: Any
    weight: Any
    routings: tuple[Routing, ...]


@keras.saving.register_keras_serializable("t2t_multimodel")
class CommandToken(keras.layers.Layer):
    """The learned first input of the decoder for one target space, such as "to_english" (section 2.4): `embedding` [D]."""

    def __init__(self, hidden_size, **kwargs):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size

    def build(self, input_shape=None):
        initializer = keras.initializers.RandomNormal(stddev=1.0)
        self.embedding = self.add_weight(shape=(self.hidden_size,), initializer=initializer, name="embedding")
        self.built = True

    def get_config(self):
        return {**super().get_config(), "hidden_size": self.hidden_size}


@keras.saving.register_keras_serializable("t2t_multimodel")
class MultiModel(keras.Model):
    """One model for several problems.

    Args:
        config: the network's hyperparameters.
        vocab_size: pieces V of the shared vocabulary.
        problems: the problems that the model can learn; problems of one domain share a modality net.
        mel_bins: frequency bins of log-mel spectrograms.

    A batch is a dict. "inputs" are int32 ids [B, S], float32 pixels [B, H, W, C], or float32 sound [B, samples] or
    [B, frames, bins] with "inputs_length" int32 [B]. "targets" are int32 ids [B, T] or int32 classes [B].

    `model(batch, problem=name)` returns logits float32 [B, T, V], where position t reads the targets before t, or
    [B, classes].

    Raises:
        ValueError: a method is called with the name of a problem that the model does not have.
    """

    def __init__(self, config: ModelConfig, vocab_size: int, problems: Sequence[ProblemSpec], mel_bins: int = 80, **kwargs):
        super().__init__(**{"dtype": config.dtype_policy, **kwargs})
        self.config = config
        self.vocab_size = vocab_size
        self.specs = {spec.name: spec for spec in problems}
        self.mel_bins = mel_bins
        self.nets = self._make_nets()
        spaces = sorted({spec.target_space for spec in problems if not isinstance(spec.targets, Label)})
        self.commands = {
            space: CommandToken(config.hidden_size, name=f"command_{space}", dtype=config.dtype_policy) for space in spaces
        }
        self.encoder, self.mixer, self.decoder = self.make_body(decodes=bool(spaces))
        self.embedding_drop = Dropout(config.embedding_dropout, name="embedding_dropout", dtype=self.dtype_policy)
        self.token_noise = TokenNoise(config.target_noise, EOS_ID + 1, name="target_noise", dtype=self.dtype_policy)

    def make_body(self, decodes: bool) -> tuple[Any, Any, Any]:
        """Returns the encoder, the mixer and the decoder; the last two are None unless a problem `decodes` text."""
        parts = (Mixer(self.config, name="mixer"), Decoder(self.config, name="decoder"))
        return Encoder(self.config, name="encoder"), *(parts if decodes else (None, None))

    def _make_nets(self):
        nets = {}
        for spec in self.specs.values():
            for feature in (spec.inputs, spec.targets):
                modality, name = modality_key(feature, self.config)
                if name not in nets:
                    nets[name] = modalities.get(modality)(self.config, self._size(feature))
                    nets[name].name = name
        return nets

    def _size(self, feature):
        if isinstance(feature, Text):
            return self.vocab_size
        if isinstance(feature, Audio):
            return self.mel_bins
        return len(feature.classes) if isinstance(feature, Label) else feature.channels

    def build(self, input_shape=None):
        """Makes every variable of every part, in a fixed order."""
        for spec in self.specs.values():
            channels = getattr(spec.inputs, "channels", None)
            for feature in (spec.inputs, spec.targets):
                net = self._net(feature)
                if not net.built:
                    net.build((None, None, None, channels))
        for command in self.commands.values():
            command.build()
        for part in filter(None, (self.encoder, self.mixer, self.decoder, self.embedding_drop, self.token_noise)):
            part.build((None, None, self.config.hidden_size))
        self.built = True

    def _net(self, feature):
        return self.nets[modality_key(feature, self.config)[1]]

    def call(self, batch, problem=None, training=None):
        return self._logits(batch, problem, training, None)[0]

    def encode(self, inputs, inputs_length=None, problem=None, training=False) -> Encoded:
        """Returns `inputs`, which are as in a batch, encoded by the problem's input modality net and the encoder."""
        return self._encode({"inputs": inputs, "inputs_length": inputs_length}, problem, training)

    def _encode(self, batch, problem, training, rows=None):
        embedded = self._bottom(batch, problem, training)
        mask = embedded.mask if rows is None else embedded.mask * rows[:, None]
        with draws_over("source", "source"):
            states = self.embedding_drop(embedded.states, training=training)
            states, routing = self.encoder(states, mask, training=training)
        return Encoded(states, mask, embedded.shape, routing)

    def _bottom(self, batch, problem, training):
        if not isinstance(problem, ProblemSwitch):
            net = self._net(self._spec(problem).inputs)
            return net.bottom(batch["inputs"], batch.get("inputs_length"), training=training)

        def branch(name, source):
            return lambda: self._bottom(source, name, training)[:2]

        branches = [branch(*source) for source in zip(problem.problems, batch["sources"], strict=True)]
        return Embedded(*ops.switch(problem.chosen, branches))

    def decode(self, encoded: Encoded, targets, problem=None, training=False, space=None):
        """Returns logits float32 [B, T, V]; the logits at position t read the command token and targets [B, T] before t.

        Args:
            space: index of another target space, an int32 scalar tensor (see `space_index`); None takes the problem's.
        """
        return self._decode(encoded, targets, problem, training, space, ops.ones_like(targets[:, 0], "float32"))[0]

    def decode_with_attention(self, encoded: Encoded, targets, problem=None):
        """Returns the logits of `decode`, and the weights with which target positions read the source, float32 [B, T, S].

        The weights are those of the decoder's last attention over the source, the mean over its heads; a row sums to 1. They are
        None for a body without such an attention.
        """
        with collected_weights() as found:
            logits = self.decode(encoded, targets, problem)
        return logits, ops.mean(found[-1], axis=1) if found else None

    def _decode(self, encoded, targets, problem, training, space, rows):
        net = self._net(self._spec(problem).targets)
        embedded = net.bottom(self.token_noise(targets, training=training))
        real = ops.concatenate([rows[:, None], ops.cast(targets[:, :-1] > EOS_ID, "float32")], axis=1)
        first = ops.broadcast_to(self._command(problem, space), (ops.shape(targets)[0], 1, self.config.hidden_size))
        shifted = self.embedding_drop(ops.concatenate([first, embedded.states[:, :-1]], axis=1), training=training)
        mixed = self.mixer(shifted, encoded.states, encoded.mask, training=training)
        states, routing = self.decoder(mixed, real, encoded.states, encoded.mask, training=training)
        return net.top(states, training=training), routing

    def precompute(self, encoded: Encoded) -> DecodeConstants:
        """Returns the tensors that every `step` reads, for B encoded inputs."""
        bias = attention_bias(encoded.mask[:, None, :])
        parts = self.mixer.precompute(encoded.states), self.decoder.precompute(encoded.states)
        return DecodeConstants(*parts, self._conv_caches.precompute(), self._commands(), bias)

    def init_cache(self, sentences, length, width=1) -> DecodingState:
        """Returns the state before the first step, for B = `sentences`, W = `width` and T = `length`, the most tokens per row."""
        rows = sentences * width
        mixer, decoder = (part.init_cache(rows, length, width) for part in (self.mixer, self.decoder))
        return DecodingState(mixer, decoder, self._conv_caches.init_cache(rows), initial_beam_indices(sentences, width, length))

    def reorder_beams(self, state: DecodingState, parents, position) -> DecodingState:
        """Returns the state in which row w of each sentence continues row `parents[:, w]`, int32 [B, W], after `position`."""
        return state._replace(beam_indices=reorder_beams(state.beam_indices, parents, position))

    def step(self, tokens, position, state: DecodingState, constants: DecodeConstants, problem=None, space=None, write=None):
        """Computes one position of `decode`.

        Args:
            tokens: int32 [R], the ids at the previous position; at position 0 they are not read. The W = R / B neighbouring rows
                of a sentence share its input.
            position: int32 scalar.
            state: from `init_cache` or the previous step.
            constants: from `precompute`.
            problem, space: as in `decode`; space may be int32 [R], an index per row.
            write: a Write that overwrites the caches in `state`; not for XLA. None copies them.

        Returns:
            Logits float32 [R, V] and the next state.
        """
        net = self._net(self._spec(problem).targets)
        first = position == 0
        index = self.space_index(problem) if space is None else space
        command = ops.take(constants.commands, index, axis=0)
        x = ops.where(first, command, net.bottom(tokens[:, None]).states[:, 0])
        real = ops.cast(ops.logical_or(first, tokens > EOS_ID), "float32")
        caches = state.convolutions, constants.kernels, write or replaced_rows
        convolutions = self._conv_caches.at(position, state.beam_indices, *caches)
        step = DecodeStep(position, state.beam_indices, convolutions, write)
        x, mixer = self.mixer.step(x, state.mixer, step, constants.mixer, constants.bias)
        x, decoder = self.decoder.step(x, real, state.decoder, step, constants.decoder, constants.bias)
        return net.top(x), DecodingState(mixer, decoder, convolutions.next_cache(), state.beam_indices)

    @functools.cached_property
    def _conv_caches(self):
        return ConvCaches([*self.mixer.conv_steps, *self.decoder.conv_steps])

    def _command(self, problem, space):
        if space is None:
            return ops.cast(self.commands[self._spec(problem).target_space].embedding, self.compute_dtype)
        # The gradient of ops.take looks for the token's rows, and how many it finds is no shape that a compiler knows.
        chosen = ops.one_hot(space, len(self.commands), dtype=self.compute_dtype)
        return ops.sum(self._commands() * chosen[:, None], axis=0)

    def _commands(self):
        """Returns the command tokens of all target spaces, [n, D]."""
        rows = [ops.expand_dims(command.embedding, 0) for command in self.commands.values()]
        return ops.cast(ops.concatenate(rows), self.compute_dtype)

    def space_index(self, problem) -> int:
        """Returns the index of the problem's target space among the command tokens, or 0 if the problem decodes no text."""
        return list(self.commands).index(self._spec(problem).target_space) if self._decodes(problem) else 0

    def trace_key(self, problem) -> tuple[str, ...]:
        """Returns a key that is equal for problems that differ in their command token alone; they can share a traced function."""
        spec = self._spec(problem)
        size = f"{spec.inputs.height}x{spec.inputs.width}" if isinstance(spec.inputs, Image) else ""
        return (*(modality_key(feature, self.config)[1] for feature in (spec.inputs, spec.targets)), size)

    def trace_group(self, problem) -> tuple[str, ...]:
        """Returns the problems that one traced function can serve with `problem`, one per trace key, for a ProblemSwitch.

        These problems share the net of their targets. A problem with labels as targets is the only one of its group, since the
        labels' net may read the shape of the image.
        """
        if not self._decodes(problem):
            return (problem,)
        _, net, _ = self.trace_key(problem)
        keys = {self.trace_key(name): name for name in reversed(self.specs)}
        return tuple(sorted(name for key, name in keys.items() if key[1] == net))

    def input_variables(self, problem):
        """Returns the trainable variables of the problem's input net; [] if the net reads the targets as well."""
        net, top = (self._net(feature) for feature in (self._spec(problem).inputs, self._spec(problem).targets))
        return [] if net is top else net.trainable_variables

    def _decodes(self, problem):
        return not isinstance(self._spec(problem).targets, Label)

    def classify(self, encoded: Encoded, problem=None, training=False):
        """Returns logits float32 [B, classes] for an encoded input; the problem's targets must be labels."""
        embedded = Embedded(encoded.states, encoded.mask, encoded.shape)
        return self._net(self._spec(problem).targets).top(encoded.states, embedded, training=training)

    def loss_terms(
        self, batch, problem, training=True, label_smoothing=0.0, space=None, rows=None, lengths=None, static=False
    ) -> LossTerms:
        """Returns the parts of the loss of a batch of one problem, or of the problem that a ProblemSwitch has chosen.

        Args:
            label_smoothing: probability that is taken from the target and spread over all classes or pieces.
            space: as in `decode`.
            rows: (first row, number of rows, rows of the whole batch) if `batch` is a replica's part of a larger batch. Its noise
                and dropout are then the same as in the larger batch.
            lengths: the RealLengths of the whole batch, if fixed shapes have padded it and its noise and dropout should be as
                without; None draws for the padded batch.
            static: True where no shape may depend on values, as in XLA: the experts then have the configured capacity.
        """
        c = self.config
        capacity = FixedCapacity(c.moe_capacity_factor, c.moe_drop) if static else current_capacity()
        with replica_rows(rows), unpadded_draws(lengths), fixed_capacity(capacity):
            logits, encoded, routing = self._logits(batch, problem, training, space)
        targets = batch["targets"]
        weights = (
            ops.cast(ops.not_equal(targets, PAD_ID), "float32") if self._decodes(problem) else self._real_rows(batch, problem)
        )
        losses = smoothed_cross_entropy(logits, ops.maximum(targets, 0), label_smoothing)
        routings = tuple(r for r in (encoded.routing, routing) if r is not None)
        return LossTerms(ops.sum(losses * weights), ops.sum(weights), routings)

    def real_lengths(self, batch, problem) -> RealLengths:
        """Returns the lengths of a batch without the padding of fixed shapes; the target's is 0 for labels."""
        targets = batch["targets"]
        target = ops.max(ops.sum(ops.cast(ops.not_equal(targets, PAD_ID), "int32"), axis=1)) if self._decodes(problem) else 0

        def source(name, given):
            net = self._net(self._spec(name).inputs)
            return ops.convert_to_tensor(net.positions(given["inputs"], given.get("inputs_length")), "int32")

        if not isinstance(problem, ProblemSwitch):
            return RealLengths(source(problem, batch), target)
        branches = [functools.partial(source, *pair) for pair in zip(problem.problems, batch["sources"], strict=True)]
        return RealLengths(ops.switch(problem.chosen, branches), target)

    def balance_loss(self, routings):
        """Returns the sum of the experts' importance and load losses, a float32 scalar.

        Args:
            routings: Routings whose importance and load are sums over the whole batch, not over a replica's part.
        """
        return sum((balance_loss(r, self.config.moe_loss_weight) for r in routings), start=ops.zeros((), dtype="float32"))

    def logits(self, batch, problem, space=None):
        """Returns the logits of `batch` without dropout and noise; `space` as in `decode`."""
        return self._logits(batch, problem, False, space)[0]

    def _logits(self, batch, problem, training, space):
        rows = self._real_rows(batch, problem)
        encoded = self._encode(batch, problem, training, rows)
        if not self._decodes(problem):
            return self.classify(encoded, problem, training=training), encoded, None
        with draws_over("target", "target"):
            logits, routing = self._decode(encoded, batch["targets"], problem, training, space, rows)
        return logits, encoded, routing

    def _real_rows(self, batch, problem):
        """Returns float32 [B]: 0 for the rows that fill a fixed shape, which have no target, and 1 for all others."""
        if "targets" not in batch:
            return None  # inputs to be classified, all of them real
        first, missing = (batch["targets"][:, 0], PAD_ID) if self._decodes(problem) else (batch["targets"], NO_LABEL)
        return ops.cast(ops.not_equal(first, missing), "float32")

    def _spec(self, problem):
        if isinstance(problem, ProblemSwitch):
            problem = problem.problems[0]  # callers ask for what the problems of a switch have in common
        if problem not in self.specs:
            raise ValueError(f"this model knows the problems {', '.join(self.specs)}; got {problem!r}")
        return self.specs[problem]

    def get_config(self):
        return {
            "name": self.name,
            "config": dataclasses.asdict(self.config),
            "vocab_size": self.vocab_size,
            "problems": [spec.to_dict() for spec in self.specs.values()],
            "mel_bins": self.mel_bins,
        }

    @classmethod
    def from_config(cls, config):
        values = dict(config)
        network: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.pop("config").items()
        }
        problems = [ProblemSpec.from_dict(spec) for spec in values.pop("problems")]
        return cls(ModelConfig(**network), problems=problems, **values)
