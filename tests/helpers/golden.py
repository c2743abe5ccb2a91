"""The first losses and gradient norms of a seeded run of each kind of problem, which only a change of the numerics may change.

`python tests/helpers/golden.py` writes them to tests/fixtures/golden_losses.json. A commit that does so says in its message why
they are others.
"""

import json
import os
from pathlib import Path

if __name__ == "__main__":  # before TensorFlow is imported
    os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["CUDA_VISIBLE_DEVICES"] = "3", "-1"

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.pipeline import TrainingBatches
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.distributed.sharding import in_parts
from t2t_multimodel.runs import run_config
from t2t_multimodel.runs.checks import checked_data
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import learning_rate, make_optimizer
from t2t_multimodel.training.steps import StepFunctions

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
GOLDEN = FIXTURES / "golden_losses.json"
MADE = FIXTURES / "368c74c"
KINDS = {
    "class": "my_classes",
    "caption": "my_captions",
    "speech": "my_speech",
    "parse": "my_trees",
    "translation": "my_translation",
}
STEPS = 5
# Every hyperparameter that changes a number is written out: other defaults change no loss. Rounding must stay small: Adam's
# epsilon is large, since a gradient that is nothing but rounding would otherwise become as large as any other, and with this
# seed no frame of sound lies so near to 0 that layer normalisation, which divides by its size, makes its rounding large.
HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=4,moe_k=2,moe_hidden_size=12,"
    "moe_noise_floor=0.01,moe_loss_weight=0.01,dropout=0.1,dropout_on=branch,block_gain=0.1,attention_dropout=0.1,"
    "embedding_dropout=0.1,output_norm=true,scale_embeddings=true,tie_embeddings=false,image_channels=4:8,image_stem_stride=2,"
    "categorical_sizes=8:12,audio_input=spectrogram,audio_blocks=2,audio_min_channels=16,audio_frequency=fold,precision=float32,"
    "recompute=false,target_noise=0,vocab_size=310,batch_tokens=256,batch_images=4,batch_seconds=0.5,max_length=32,max_seconds=2,"
    "shuffle_buffer=8,mel_bins=4,frame_ms=25,hop_ms=10,learning_rate=0.005,learning_rate_schedule=rsqrt,warmup_steps=3,"
    "optimizer=adam,beta1=0.9,beta2=0.98,epsilon=0.001,clip_norm=2,label_smoothing=0.1,problems_per_step=1,accumulate_steps=1,"
    "ema_decay=0,xla=false,seed=6"
)


def first_steps() -> dict[str, list[list[float]]]:
    """Returns the [loss, norm of the gradient] of STEPS steps for each of KINDS, every kind from the same first weights."""
    described = {problem.name: problem for problem in read_problem_file(MADE / "problems.toml")}
    problems, config = checked_data([described[name] for name in KINDS.values()], "golden", HPARAMS, MADE / "data")
    tf.keras.utils.set_random_seed(HPARAMS.training.seed)  # as a run does, since tf.data shuffles by TensorFlow's seed too
    model = run_config.build_model(config)
    optimizer = make_optimizer(in_parts(by_path(model.trainable_variables)), HPARAMS)
    steps = StepFunctions(model, optimizer, HPARAMS)
    state = [*model.variables, *(slot for slots in optimizer.slots.values() for slot in slots.values())]
    before = [variable.numpy() for variable in state]
    found = {}
    for kind, problem in zip(KINDS, problems, strict=True):
        for variable, value in zip(state, before, strict=True):
            variable.assign(value)
        batches = TrainingBatches(problem, MADE / "data", HPARAMS, HPARAMS.training.seed)
        rates = [learning_rate(step, HPARAMS.training) for step in range(STEPS)]
        results = [steps.train(problem.name, next(batches), rate, i + 1) for i, rate in enumerate(rates)]
        found[kind] = [[float(result.loss), float(result.gradient_norm)] for result in results]
    return found


def main() -> None:
    """Writes GOLDEN; Grappler is off, as in a run and in the tests."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    lines = [f' "{kind}": {json.dumps(rows)}' for kind, rows in first_steps().items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
