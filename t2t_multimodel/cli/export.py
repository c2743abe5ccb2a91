"""mm-export: writes a trained model as a SavedModel, which takes strings and returns strings."""

from __future__ import annotations

from collections.abc import Sequence

from absl.flags import FlagValues

from t2t_multimodel.cli import common
from t2t_multimodel.cli.decoder import add_search_flags, check_search, strategy_of


def command_flags() -> common.CommandFlags:
    """Returns the flags of mm-export."""
    flags = common.command_flags(
        "mm-export", "Writes the newest checkpoint of --output_dir as a SavedModel: strings in, strings out."
    )
    common.add_output_dir_flag(flags)
    flags.path("export_dir", None, "a new folder for the SavedModel, model.keras and the model card")
    common.add_problems_flag(flags)
    about = "the type of the SavedModel's weights: float16 takes half the space, int8 about a quarter; model.keras has float32"
    flags.choice("weights", ("float32", "float16", "int8"), "float32", about)
    add_search_flags(flags)
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(command_flags(), run, argv)


def run(args: FlagValues) -> int:
    """Checks the flags before TensorFlow is imported, and exports."""
    common.require(args, "output_dir", "export_dir")
    check_search(args)
    common.quiet_tensorflow()
    from t2t_multimodel.export import export_run

    names = tuple(common.named_problems(args) or ()) or None
    folder = export_run(args.output_dir, args.export_dir, names, strategy_of(args), args.well_formed_trees, args.weights)
    print(f"{folder}: load it with tf.saved_model.load after `import tensorflow_text`; MODEL_CARD.md says what it is")
    return 0
