"""Writes a run of six small problems as mm-trainer does, with initial weights."""

from t2t_multimodel.config import HParams
from t2t_multimodel.data.vocabulary import train_vocabulary
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text
from t2t_multimodel.runs.run_config import RunConfig, build_model
from t2t_multimodel.training.checkpoints import Checkpoints

SPECS = (
    ProblemSpec("ende", Text(), Text(), "to_german"),
    ProblemSpec("enfr", Text(), Text(), "to_french"),
    ProblemSpec("parse", Text(), Text("tree"), "to_parse_tree"),
    ProblemSpec("speech", Audio(1000), Text(), "to_english"),
    ProblemSpec("caption", Image(16, 16), Text(), "to_english"),
    ProblemSpec("picture", Image(16, 16), Label(("cat", "dog", "owl"), words=("meows", "", "hoots")), "to_class"),
)
SMALL = (
    "hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=2,moe_k=1,moe_hidden_size=16,"
    "image_channels=4:8,categorical_sizes=16:16,audio_blocks=1,audio_frequency=fold,mel_bins=4,max_length=24"
)


def make(folder):
    """Writes config, vocabulary and the checkpoint of step 7 into `folder`."""
    symbols = ["(S", ")S", "(NP", ")NP", "NN", "DT"]
    vocabulary = train_vocabulary(["a dog and a cat", "ein Hund"], symbols, 310, folder / "vocabulary.model")
    config = RunConfig("tiny", HParams().override(SMALL), SPECS, vocabulary.size, vocabulary.sha256, "data")
    config.save(folder)
    Checkpoints(folder, build_model(config)).save(7)
    return folder
