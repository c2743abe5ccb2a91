"""Measures each dependency of pyproject.toml: seconds and MB to install, and seconds to import.

    python benchmarks/dependencies.py [--extras=beam,jax]

Installs them one after another in a virtual environment in a temporary folder, and prints a row of docs/install.md per
dependency. Packages that several of them need are counted with the first. The import is timed in a new process; TensorFlow, if
the dependency imports it too, is imported before the clock starts.
"""

import argparse
import re
import subprocess
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Modules whose name is not the distribution's name in lower case with underscores.
MODULES = {
    "absl-py": "absl.app",
    "apache-beam": "apache_beam",
    "google-crc32c": "google_crc32c",
    "pillow": "PIL.Image",
    "protobuf": "google.protobuf.message",
}
# By dependency, the module that is imported before the clock starts because the dependency imports it too.
BEFORE = {
    "keras": "tensorflow",
    "tensorflow-text": "tensorflow",
    "tensorflow-datasets": "tensorflow",
    "tensorboard": "tensorflow",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", default="beam,jax", help="extras of pyproject.toml, separated by commas")
    extras = parser.parse_args().extras
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [line for extra in filter(None, extras.split(",")) for line in project["optional-dependencies"][extra]]
    print("| dependency | install, s | install, MB | import, s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        for requirement in [*project["dependencies"], *optional]:
            name = re.split(r"[<>=\[ ]", requirement, maxsplit=1)[0]
            size, start = megabytes(folder), time.monotonic()
            subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement], check=True)
            seconds = time.monotonic() - start
            cells = (f"{seconds:.0f}", f"{megabytes(folder) - size:.0f}", f"{import_seconds(python, name):.2f}")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def megabytes(folder: str) -> float:
    """Returns the size of all files under a folder, in units of 10**6 bytes."""
    return sum(path.lstat().st_size for path in Path(folder).rglob("*")) / 1e6


def import_seconds(python: Path, name: str) -> float:
    """Returns the shortest of three imports, in seconds. The first one fills the caches of the disk."""
    module = MODULES.get(name, name.replace("-", "_"))
    program = (
        f"import time\n{f'import {BEFORE[name]}' if name in BEFORE else ''}\n"
        f"start = time.monotonic()\nimport {module}\nprint(time.monotonic() - start)"
    )
    found = []
    for _ in range(3):
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
        found.append(float(done.stdout.split()[-1]))
    return min(found)


if __name__ == "__main__":
    main()
