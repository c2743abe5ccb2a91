"""The report of a scored run: `report.html`, one self-contained file, and the same page as `report.md` with `report_files/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Text
from t2t_multimodel.reports import pictures
from t2t_multimodel.reports.examples import example_blocks
from t2t_multimodel.reports.origin import origin_blocks
from t2t_multimodel.reports.page import Block, Commands, Fold, Heading, Paragraph, Picture, Table, to_html, to_markdown
from t2t_multimodel.reports.scored_run import Run, read_run
from t2t_multimodel.reports.scores import Goals, goals_of, not_reached, score_table, short_table
from t2t_multimodel.runs.run_config import VOCABULARY
from t2t_multimodel.utils.files import write_atomically

FOLDER = "report_files"
TABLE_TEXT = (
    "All of dev, outputs decoded greedily. accuracy is per token (per example for classes), accuracy_per_sequence counts outputs "
    "that are right from end to end. Beside the model stands the trivial answer, which does not look at the input: the most "
    "frequent class, the most frequent token at each position, or the source left as it is. Where a problem has two goals, "
    "one is enough."
)
TRY_TEXT = (
    "In the environment that the commands were installed in: a prompt that takes a sentence or the path of a picture or a sound, "
    "the model as a file to serve, and its curves as they were written."
)
CURVES_TEXT = "Grey, left scale: training loss in nats per token. Blue, right scale: accuracy on dev."
LOAD_TEXT = (
    "The share of tokens that each expert got in the last steps: bars are means over the problems, points single problems, the "
    "dashed line is an even load. Below, how unevenly the load was spread (standard deviation over mean) as training went on."
)


def write_report(
    output_dir: Path,
    data_dir: Path,
    facts: Sequence[str] = (),
    continue_with: str = "make demo-full",
    continue_to: int = 0,
) -> Table:
    """Writes the report of the run in `output_dir` and returns its table of scores.

    Args:
        data_dir: the folder of the records that the run was trained on.
        facts: further sentences for the first paragraph.
        continue_with: the command that trains on a run which has not reached all its goals.
        continue_to: the step at which that command ends.

    Raises:
        DataError: the run has not been scored, or its records are missing.
    """
    run = read_run(output_dir)
    goals = {problem.name: goals_of(problem, run.decoded[problem.name]) for problem in run.problems}
    table = score_table(run, goals, data_dir, Vocabulary.load(output_dir / VOCABULARY))
    title = f"One model, {len(run.problems)} problems"
    strip, examples = example_blocks(run, data_dir)
    blocks: list[Block] = [Paragraph(summary(run, facts)), *strip, Heading("Results")]
    blocks += [Paragraph(outcome(run, goals, continue_with, continue_to)), short_table(table, run.problems)]
    blocks += [Fold("All metrics", [Paragraph(TABLE_TEXT), table])]
    blocks += [Heading("Try it"), Paragraph(TRY_TEXT), Commands(next_commands(run, output_dir)), *examples, *training_blocks(run)]
    blocks += [Heading("How it was made"), *origin_blocks(run, output_dir, data_dir)]
    write_atomically(output_dir / "report.html", to_html(title, blocks).encode())
    markdown, files = to_markdown(title, blocks, FOLDER)
    (output_dir / FOLDER).mkdir(exist_ok=True)
    for name, content in files.items():
        (output_dir / FOLDER / name).write_bytes(content)
    write_atomically(output_dir / "report.md", markdown.encode())
    return table


def summary(run: Run, facts: Sequence[str]) -> str:
    """Returns the first paragraph: the problems, steps, time, and `facts`."""
    names = ", ".join(problem.name for problem in run.problems)
    time = f"{run.step:,} steps in {run.seconds / 60:.1f} minutes"
    return " ".join([f"One MultiModel ({run.config.hparams_set}) learned {names} jointly: {time}.", *facts])


def outcome(run: Run, goals: dict[str, Goals], continue_with: str, continue_to: int = 0) -> str:
    """Returns a paragraph on the goals that were reached, and on what helps with the others."""
    missed = not_reached(run, goals)
    if not missed:
        return f"All {len(run.problems)} problems have reached their goals."
    reached, total = len(run.problems) - len(missed), max(continue_to, run.config.hparams.training.train_steps)
    text = f"{reached} of {len(run.problems)} problems have reached their goals after {run.step:,} steps, not yet "
    text += f"{'; '.join(missed)}."
    if run.step >= total:
        return f"{text} More steps may help: `mm-trainer` with a larger `--train_steps` goes on from here."
    minutes = run.seconds / 60 / run.step * (total - run.step)
    return (
        f"{text} `{continue_with}` goes on from here to step {total:,}: some {max(minutes, 1):.0f} minutes at this run's speed."
    )


def next_commands(run: Run, output_dir: Path) -> list[str]:
    """Returns the commands that decode with the model, export it, and show its curves."""
    texts = [problem.name for problem in run.problems if isinstance(problem.inputs, Text)]
    at_prompt = f" --problems={texts[0]}" if texts else ""
    return [
        f"mm-decoder --output_dir={output_dir}{at_prompt}",
        f"mm-export --output_dir={output_dir} --export_dir={output_dir}/served",
        f"tensorboard --logdir={output_dir}",
    ]


def training_blocks(run: Run) -> list[Block]:
    """Returns the sections on curves and, if the model has experts, on their load."""
    curves = Picture("curves", pictures.curves(run), "training loss and dev accuracy of each problem against steps")
    blocks: list[Block] = [Heading("Curves"), Paragraph(CURVES_TEXT), curves]
    if run.config.hparams.model.num_experts:
        load = Picture("expert_load", pictures.expert_load(run), "share of tokens of each expert")
        balance = Picture("expert_balance", pictures.expert_balance(run), "expert_load_cv against steps")
        blocks += [Heading("Expert load"), Paragraph(LOAD_TEXT), load, balance]
    return blocks
