"""Compares the quality after a number of CPU minutes: this model's sets against another script's Transformer. Prints a table.

    python benchmarks/quality.py --problem_file=problems.toml --problem=m30k --data_dir=DATA --output_dir=OUT \\
        --minutes=4,15 --seeds=1,2,3 --ours=multimodel_4min --ours=multimodel_tiny,batch_tokens=1280 \\
        --script=transformer_torch.py --script_python=TORCH/bin/python --texts=multi30k --theirs="--d 128 --batch 1280 --lr 2e-3"

Two runs go at a time, each pinned to a core of its own with one thread. Budgets are CPU seconds of the training process from its
start on: imports, tracing and evaluations count, the evaluation at the end does not. A run that is done is not repeated: the same
command goes on after a kill. For each side and budget the table has the number of seeds, the dev loss in nats per token and
the BLEU of greedy outputs on test, with the half width of the 95% interval over the seeds.

--ours is a set with changes, --theirs flags of --script; both may be given several times. The script trains with `--clock cpu
--minutes`, writes log.jsonl with `dev` in its last row and final.pt, and scores with `--test`. It reads --texts, a folder with
{train,val,test_2016_flickr}.{de,en}, of which --problem is made too. It has no flag for its seed: where --seeds has several, a
copy of the script with another number in its torch.manual_seed and random.seed is run.
"""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from t2t_multimodel.experiments.statistics import mean_of  # noqa: E402

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")


class Run(NamedTuple):
    """One training run of one side: its name in the table, whether it is ours, CPU minutes, and its seed."""

    side: str
    ours: bool
    minutes: float
    seed: int


def main() -> None:
    """Runs what is missing and prints the table."""
    args = flags()
    Path(args.output_dir).mkdir(parents=True, exist_ok=True)
    pairs = zip_longest([(name, True) for name in args.ours], [(name, False) for name in args.theirs])
    sides = [side for pair in pairs for side in pair if side]  # in turn, so that both sides run at the same time
    runs = [Run(name, ours, minutes, seed) for minutes in args.minutes for seed in args.seeds for name, ours in sides]
    cores: Queue[int] = Queue()
    for core in sorted(os.sched_getaffinity(0))[:2]:
        cores.put(core)
    with ThreadPoolExecutor(cores.qsize()) as pool:
        rows = list(pool.map(lambda run: result(run, args, cores), runs))
    facts = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "command": shlex.join(sys.argv)}
    (Path(args.output_dir) / "quality.json").write_text(json.dumps({**facts, "runs": rows}, indent=1) + "\n")
    table = markdown(rows)
    (Path(args.output_dir) / "quality.md").write_text(table + "\n")
    print(table)


def flags() -> argparse.Namespace:
    """Returns the command's flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem_file", required=True)
    parser.add_argument("--problem", required=True, help="a problem with dev and test, whose records are in --data_dir")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--output_dir", required=True, help="of all runs, quality.json and quality.md")
    parser.add_argument("--minutes", type=numbers(float), default=[4.0, 15.0], help="CPU minutes (default 4,15)")
    parser.add_argument("--seeds", type=numbers(int), default=[1, 2, 3], help="(default 1,2,3)")
    parser.add_argument("--ours", action="append", default=[], help="a set and changes, as multimodel_tiny,dropout=0.2")
    parser.add_argument("--theirs", action="append", default=[], help="flags of --script, in quotes")
    parser.add_argument("--script", default="", help="the other side's script")
    parser.add_argument("--script_python", default=sys.executable, help="the Python that runs it, with torch and sacrebleu")
    parser.add_argument("--texts", default="", help="the folder of texts that the script reads")
    args = parser.parse_args()
    if args.theirs and not (args.script and args.texts):
        parser.error("--theirs needs --script and --texts")
    if not args.ours + args.theirs:
        parser.error("give --ours, --theirs or both")
    return args


def numbers(kind: type) -> Any:
    """Returns a function that parses numbers separated by commas."""
    return lambda text: [kind(each) for each in text.split(",")]


def result(run: Run, args: argparse.Namespace, cores: "Queue[int]") -> dict[str, Any]:
    """Returns the figures of a run, which is trained and scored on the next free core unless it has been."""
    name = re.sub(r"[^\w.=-]+", "_", f"{run.side}-{run.minutes:g}min-seed{run.seed}").strip("_-")
    folder = Path(args.output_dir) / name
    done = folder / "result.json"
    if done.exists():
        return json.loads(done.read_text())
    shutil.rmtree(folder, ignore_errors=True)  # a run that was broken off
    folder.mkdir()
    core = cores.get()
    try:
        began, load = time.monotonic(), os.getloadavg()[0]
        figures = (ours if run.ours else theirs)(run, args, folder, core)
        row = {**run._asdict(), **figures, "core": core, "wall_minutes": round((time.monotonic() - began) / 60, 2)}
        row["load"] = [round(load, 1), round(os.getloadavg()[0], 1)]
    finally:
        cores.put(core)
    done.write_text(json.dumps(row) + "\n")
    return row


def ours(run: Run, args: argparse.Namespace, folder: Path, core: int) -> dict[str, Any]:
    """Trains and scores a set; returns dev loss, BLEU on test and the number of steps."""
    set_name, _, changes = run.side.partition(",")
    changes = ",".join(filter(None, [f"seed={run.seed},eval_steps=0,eval_samples=0,keep_best=none", changes]))
    common = [f"--problem_file={args.problem_file}", f"--problems={args.problem}", f"--data_dir={args.data_dir}"]
    common += [f"--output_dir={folder / 'run'}"]
    train = [sys.executable, str(ROOT / "benchmarks" / "train_by_cpu.py"), f"--train_minutes={run.minutes}"]
    pinned([*train, *common, f"--hparams_set={set_name}", f"--hparams={changes}"], folder / "train.log", core)
    score = [sys.executable, str(ROOT / "bin" / "mm-trainer"), "--schedule=evaluate", "--eval_split=test"]
    pinned([*score, *common], folder / "score.log", core)
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    dev = [row for row in rows if row["split"] == "dev"][-1]
    test = [row for row in rows if row["split"] == "test"][-1]
    return {"dev_loss": dev["loss"], "bleu": test["bleu"], "steps": dev["step"]}


def theirs(run: Run, args: argparse.Namespace, folder: Path, core: int) -> dict[str, Any]:
    """Trains and scores the script; returns dev loss, BLEU on test and the number of steps."""
    script = Path(args.script)
    if run.seed != 1:
        text = script.read_text().replace("manual_seed(1)", f"manual_seed({run.seed})")
        script = folder / script.name
        script.write_text(text.replace("random.seed(1)", f"random.seed({run.seed})"))
    common = [args.script_python, str(script), "--vocabulary", f"{args.data_dir}/vocabulary.model", "--data", args.texts]
    common += shlex.split(run.side)
    clock = ["--clock", "cpu", "--minutes", f"{run.minutes}", "--eval_minutes", f"{run.minutes / 4}"]
    pinned([*common, "--out", str(folder / "run"), *clock], folder / "train.log", core)
    scored = ["--out", str(folder / "outputs.txt"), "--test", str(folder / "run" / "final.pt")]
    pinned([*common, *scored], folder / "score.log", core)
    last = json.loads((folder / "run" / "log.jsonl").read_text().splitlines()[-1])
    score = json.loads((folder / "score.log").read_text().strip().splitlines()[-1])
    return {"dev_loss": last["dev"], "bleu": score["bleu"], "steps": last["step"]}


def pinned(command: list[str], log: Path, core: int) -> None:
    """Runs a command on one core with one thread, its output in `log`; ends with its last line if it fails."""
    with log.open("w") as file:
        environment = os.environ | ONE_THREAD
        code = subprocess.run(["taskset", "-c", str(core), *command], stdout=file, stderr=file, env=environment).returncode
    if code:
        last = (log.read_text().strip().splitlines() or [""])[-1]
        raise SystemExit(f"exit code {code}, see {log}: {last}")


def markdown(rows: list[dict[str, Any]]) -> str:
    """Returns a table with a row for each budget and side."""
    lines = ["| CPU minutes | side | seeds | steps | dev loss | BLEU on test |", "|---|---|---|---|---|---|"]
    for minutes, side in dict.fromkeys((row["minutes"], row["side"]) for row in rows):
        found = [row for row in rows if (row["minutes"], row["side"]) == (minutes, side)]
        cells = [f"{mean_of([row['steps'] for row in found]).value:.0f}"]
        for name, digits in (("dev_loss", 3), ("bleu", 1)):
            mean = mean_of([row[name] for row in found])
            interval = f" ± {mean.half_width:.{digits}f}" if len(found) > 1 else ""
            cells.append(f"{mean.value:.{digits}f}{interval}")
        kind = "this model" if found[0]["ours"] else "the script"
        lines.append(f"| {minutes:g} | {kind}: `{side}` | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
