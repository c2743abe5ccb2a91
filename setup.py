"""The packages, listed by hand: problems/ and hparams/ stand at the top of the repository and are installed inside the package.

Everything else about the distribution is in pyproject.toml.
"""

from setuptools import setup

SUBPACKAGES = (
    "cli",
    "data",
    "data.generation",
    "data.graph",
    "data.problem_file",
    "data.readers",
    "data.readers.pictures",
    "data.readers.sound",
    "decoding",
    "distributed",
    "evaluation",
    "experiments",
    "layers",
    "modalities",
    "models",
    "reports",
    "runs",
    "serving",
    "training",
    "utils",
)
AT_THE_TOP = ("hparams", "problems")

setup(
    packages=["t2t_multimodel", *(f"t2t_multimodel.{name}" for name in SUBPACKAGES + AT_THE_TOP)],
    package_dir={f"t2t_multimodel.{name}": name for name in AT_THE_TOP},
    package_data={"t2t_multimodel.problems": ["*.txt"]},
)
