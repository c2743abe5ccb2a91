"""Dev examples for the prompt: pictures and sounds become files that a user can open."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from t2t_multimodel.data.vocabulary import FILE_NAME
from t2t_multimodel.decoding.dev_examples import DevExample, dev_examples
from t2t_multimodel.decoding.predictor import bracketed
from t2t_multimodel.features import ProblemSpec, is_tree
from t2t_multimodel.utils.errors import DataError


class ShownExamples:
    """Gives one dev example of a problem after the other; its files are deleted at the end of the process.

    Args:
        data_dir: the records.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._left: dict[str, Iterator[tuple[int, DevExample]]] = {}

    @cached_property
    def _folder(self) -> Path:
        folder = tempfile.mkdtemp(prefix="mm-decoder-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def next(self, spec: ProblemSpec) -> tuple[str, str]:
        """Returns the next example's line of input, a sentence or a file's path, and its right output.

        Behind the last example comes the first one.

        Raises:
            DataError: there are no records of the problem's dev split.
        """
        found = next(self._of(spec), None)
        if found is None:
            self._left.pop(spec.name)
            found = next(self._of(spec), None)
        if found is None:
            raise DataError(f"{self._data_dir} has no dev examples of {spec.name}")
        number, example = found
        if isinstance(example.inputs, str):
            right = bracketed(example.inputs.split(), example.target) if is_tree(spec.targets) else example.target
            return example.inputs, right
        path = self._folder / f"{spec.name}-{number}{example.suffix}"
        path.write_bytes(example.inputs)
        return str(path), example.target

    def _of(self, spec: ProblemSpec) -> Iterator[tuple[int, DevExample]]:
        if not (self._data_dir / FILE_NAME).is_file():
            raise DataError(f"the run's records are not at {self._data_dir}; mm-decoder --data_dir names their folder")
        if spec.name not in self._left:
            self._left[spec.name] = enumerate(dev_examples(spec, self._data_dir), start=1)
        return self._left[spec.name]
