"""Measures mm-datagen: text, pictures and sound to records, and learning a vocabulary. Prints JSON.

python benchmarks/datagen.py --corpora=DIR      # which holds multi30k/, wmt_ende_10k/, grocery_store/, kathleen_arctic/
python benchmarks/datagen.py --vocabulary_gb=5  # the vocabulary of 5 GB of generated text, which is written to a file

Rates of text count the bytes of both sides of a pair. CPU seconds are summed over all processes, which depends less on other
programs than the time on the clock; the fastest of several runs counts. The speed-up of two workers needs two free cores.
`speedup_of_strangers` is its upper bound on the machine: two independent processes make all records at the same time.
TensorFlow, which checks records, is imported before the clock starts; that takes a few seconds.
"""

import argparse
import functools
import gzip
import io
import itertools
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402

from t2t_multimodel.cli.quiet import quiet_tensorflow  # noqa: E402
from t2t_multimodel.data.generation.generate import generate  # noqa: E402
from t2t_multimodel.data.generation.vocabulary_sample import learn_vocabulary  # noqa: E402
from t2t_multimodel.data.problem_file import kinds  # noqa: E402
from t2t_multimodel.data.problem_file.description import Description, Source  # noqa: E402
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary, train_vocabulary  # noqa: E402
from t2t_multimodel.features import Audio, Image, Label, Text  # noqa: E402
from t2t_multimodel.problem import Example, Generate, Problem  # noqa: E402

VOCAB_SIZE = 8192
TEXTS = ("multi30k/train", "wmt_ende_10k/train")


def main() -> None:
    """Measures what the flags ask for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, metavar="DIR")
    parser.add_argument("--tmp_dir", metavar="DIR", help="for what is made meanwhile")
    parser.add_argument("--text_mb", type=int, default=40, help="MB of text in the records; the corpora's text is repeated")
    parser.add_argument("--runs", type=int, default=3, help="repetitions of each measurement")
    parser.add_argument(
        "--vocabulary_gb", type=float, default=0, help="measure nothing but the vocabulary of this many GB of text"
    )
    args = parser.parse_args()
    if not args.corpora and not args.vocabulary_gb:
        parser.error("give --corpora or --vocabulary_gb")
    quiet_tensorflow()
    with tempfile.TemporaryDirectory(dir=args.tmp_dir) as folder:
        if args.vocabulary_gb:
            print(json.dumps(vocabulary_memory(args.vocabulary_gb, Path(folder)), indent=1))
            return
        import tensorflow  # noqa: F401

        results = {
            "text": text_rates(read_pairs(args.corpora), args.text_mb, args.runs, Path(folder)),
            "vocabulary": vocabulary_seconds(read_pairs(args.corpora), Path(folder)),
            "images": media_rates(image_problem(args.corpora), decode_image, args.runs, Path(folder)),
            "sound": media_rates(sound_problem(args.corpora), decode_sound, args.runs, Path(folder)),
            "peak_memory_gib": peak_memory_gib(),
        }
    print(json.dumps(results, indent=1))


def read_pairs(corpora: Path) -> list[tuple[str, str]]:
    """Returns the English and German lines of Multi30k and of WMT's sample, as far as they are in `corpora`."""
    english, german = (
        [
            line
            for stem in TEXTS
            for line in gzip.open(corpora / f"{stem}.{language}.gz", "rt", encoding="utf-8").read().split("\n")
        ]
        for language in ("en", "de")
    )
    return [(a.strip(), b.strip()) for a, b in zip(english, german, strict=True) if a.strip() and b.strip()]


def text_rates(pairs: list[tuple[str, str]], megabytes: int, runs: int, folder: Path) -> dict:
    """Returns the rates of text to finished records with one and with two workers; the vocabulary exists beforehand."""
    size = sum(len(a.encode()) + len(b.encode()) for a, b in pairs) / 1e6
    rounds = max(1, round(megabytes / size))
    problem = Problem("text", Text(), Text(), "to_german", functools.partial(repeated, pairs, rounds))
    train_vocabulary(itertools.chain.from_iterable(pairs), [], VOCAB_SIZE, folder / FILE_NAME)
    vocabulary = Vocabulary.load(folder / FILE_NAME)
    start = cpu_seconds()
    for first in range(0, len(pairs), 1000):
        vocabulary.encode_batch(list(itertools.chain.from_iterable(pairs[first : first + 1000])))
    alone = round(size / (cpu_seconds() - start), 2)
    results: dict = {"megabytes": round(rounds * size, 1), "pairs": rounds * len(pairs), "sentencepiece_mb_per_cpu_s": alone}
    taken = {n: [measured(problem, folder, n) for _ in range(runs)] for n in (1, 2)}
    for num_workers, of_runs in taken.items():
        seconds, cpu = min(wall for wall, _, _ in of_runs), min(own + others for _, own, others in of_runs)
        rates = {"mb_per_s": round(rounds * size / seconds, 2), "mb_per_cpu_s": round(rounds * size / cpu, 2)}
        results[f"{num_workers}_workers"] = rates
    results["speedup"] = round(results["2_workers"]["mb_per_s"] / results["1_workers"]["mb_per_s"], 2)
    alone = min(wall for wall, _, _ in taken[1])
    both = min(strangers(problem, folder) for _ in range(runs))
    return results | {"speedup_of_strangers": round(2 * alone / both, 2)}


def repeated(pairs: list[tuple[str, str]], rounds: int, split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields the pairs `rounds` times; dev is one pair."""
    for _ in range(rounds if split == "train" else 1):
        for source, target in pairs if split == "train" else pairs[:1]:
            yield {"inputs": source, "targets": target}


def strangers(problem: Problem, folder: Path) -> float:
    """Returns the seconds of the slower of two processes that make all of a problem's records at the same time."""
    names = [f"stranger{i}" for i in range(2)]
    for name in names:
        (folder / name).mkdir()
        shutil.copy(folder / FILE_NAME, folder / name)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        wait([pool.submit(time.sleep, 1) for _ in names])  # The clock starts when both processes have started.
        seconds = max(wall for wall, _, _ in pool.map(measured, [problem] * 2, [folder / name for name in names]))
    for name in names:
        shutil.rmtree(folder / name)
    return seconds


def measured(problem: Problem, folder: Path, num_workers: int = 1) -> tuple[float, float, float]:
    """Makes a problem's records anew; returns seconds, and the CPU seconds of this process and of its children."""
    data_dir = folder / f"{problem.name}-{num_workers}"
    data_dir.mkdir()
    shutil.copy(folder / FILE_NAME, data_dir)
    wall, before = time.perf_counter(), os.times()
    generate([problem], data_dir, folder, VOCAB_SIZE, num_workers=num_workers, report=lambda line: None)
    taken, after = time.perf_counter() - wall, os.times()
    shutil.rmtree(data_dir)
    own = after.user + after.system - before.user - before.system
    return taken, own, after.children_user + after.children_system - before.children_user - before.children_system


def cpu_seconds() -> float:
    """Returns the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def vocabulary_seconds(pairs: list[tuple[str, str]], folder: Path, megabytes: float = 5.0) -> dict:
    """Returns the seconds that a vocabulary of `megabytes` of text takes."""
    texts, size = [], 0
    for text in itertools.cycle(itertools.chain.from_iterable(pairs)):
        texts.append(text)
        size += len(text.encode())
        if size >= megabytes * 1e6:
            break
    wall, cpu = time.perf_counter(), cpu_seconds()
    train_vocabulary(texts, [], VOCAB_SIZE, folder / "other.model")
    return {"megabytes": megabytes, "s": round(time.perf_counter() - wall, 2), "cpu_s": round(cpu_seconds() - cpu, 2)}


def image_problem(corpora: Path) -> Problem:
    """Returns a problem of the photographs of grocery_store."""
    paths = sorted((corpora / "grocery_store" / "train").rglob("*.jpg"))[:1000]
    return Problem("images", Image(), Label(("x",)), "to_class", files(paths, {"targets": "x"}))


def sound_problem(corpora: Path) -> Problem:
    """Returns a problem of the recordings of kathleen_arctic, repeated ten times."""
    paths = sorted((corpora / "kathleen_arctic").rglob("*.flac")) * 10
    return Problem("sound", Audio(16000), Text(), "to_english", files(paths, {"targets": "a word or two"}))


def files(paths: Sequence[Path], answer: Example) -> Generate:
    """Returns a problem's generate, which yields each file with the same targets; dev is one file."""

    def examples(split: str, tmp_dir: Path) -> Iterator[Example]:
        for path in paths if split == "train" else paths[:1]:
            yield {"inputs": path.read_bytes(), **answer}

    return examples


def decode_image(content: bytes) -> None:
    """Decodes a picture by Pillow alone."""
    from PIL import Image as Pillow

    Pillow.open(io.BytesIO(content)).load()


def decode_sound(content: bytes) -> None:
    """Decodes a sound by soundfile alone."""
    import soundfile

    soundfile.read(io.BytesIO(content), dtype="int16")


def media_rates(problem: Problem, decode: Callable[[bytes], object], runs: int, folder: Path) -> dict:
    """Returns files per CPU second of making records, and of the library alone, which reads and decodes the same files."""
    count = sum(1 for _ in problem.generate("train", folder))
    if not count:
        return {"files": 0}
    measured(problem, folder)
    ours, alone = [], []
    for _ in range(runs):
        ours.append(measured(problem, folder)[1])
        start = cpu_seconds()
        for example in problem.generate("train", folder):
            decode(example["inputs"])
        alone.append(cpu_seconds() - start)
    rates = {"files_per_cpu_s": round(count / min(ours), 1), "library_alone": round(count / min(alone), 1)}
    return {"files": count, **rates, "share": round(min(alone) / min(ours), 2)}


def vocabulary_memory(gigabytes: float, folder: Path) -> dict:
    """Returns seconds and peak memory of learning a vocabulary from a file of generated pairs, in a process of its own."""
    write_pairs(folder / "pairs.tsv", round(gigabytes * 1e9))
    size = (folder / "pairs.tsv").stat().st_size
    sources = {"train": (Source((("train", "pairs.tsv"),)),)}
    description = Description(folder / "x.toml", "generated", "text_pairs", sources)
    problem = Problem("generated", Text(), Text(), "to_german", functools.partial(kinds.generate, description))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        taken = pool.submit(measured_vocabulary, problem, folder).result()
    return {"gigabytes": round(size / 1e9, 3), **taken}


def measured_vocabulary(problem: Problem, folder: Path) -> dict:
    """Returns seconds and peak memory of learning a problem's vocabulary in this process."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    pieces = learn_vocabulary([problem], folder, VOCAB_SIZE, folder / "vocabulary.model", lambda line: None).vocabulary.size
    taken = {"s": round(time.perf_counter() - wall, 1), "cpu_s": round(cpu_seconds() - cpu, 1)}
    return {"pieces": pieces, **taken, "peak_memory_gib": peak_memory_gib()}


def write_pairs(path: Path, size: int) -> None:
    """Writes a file of at least `size` bytes: different pairs of sentences, of words whose frequencies follow Zipf's law."""
    rng = np.random.default_rng(2017)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    words = np.array(["".join(rng.choice(letters, n)) for n in rng.integers(2, 12, 200_000)], object)
    frequencies = 1 / np.arange(1, len(words) + 1)
    drawn = iter(rng.choice(words, 10_000_000, p=frequencies / frequencies.sum()).tolist())
    sentences = [" ".join(itertools.islice(drawn, n)) for n in rng.integers(5, 40, 400_000).tolist()]
    with path.open("w") as file:
        while file.tell() < size:
            pairs = rng.permutation(len(sentences)).reshape(-1, 2).tolist()
            file.writelines(f"{sentences[a]}\t{sentences[b]}\n" for a, b in pairs)


def peak_memory_gib() -> float:
    """Returns the peak resident memory of this process in GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


if __name__ == "__main__":
    main()
