"""Decides whether existing records match a problem, or have to be made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from t2t_multimodel.data import records
from t2t_multimodel.data.manifest import Manifest, features_of
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError


class Recorded(NamedTuple):
    """The state of existing records.

    Attributes:
        manifest: the records' manifest; None if there are no complete records.
        reason: why they have to be made again, for example "its description changed"; "" if they are kept.
        damaged: whether damage is the only reason.
    """

    manifest: Manifest | None
    reason: str = ""
    damaged: bool = False

    @property
    def is_complete(self) -> bool:
        """Returns whether nothing has to be made."""
        return self.manifest is not None and not self.reason


def find(problem: Problem, data_dir: Path, options: dict[str, Any], verify: bool) -> Recorded:
    """Returns the state of a forward problem's records, compared with the problem as it is now.

    Args:
        problem: the problem, with its classes.
        data_dir: the folder with the records.
        options: the entries of the manifest that must have these values.
        verify: whether to compare checksums, not only sizes.
    """
    try:
        manifest = records.read_manifest(data_dir, problem.records_name)
    except DataError:
        return Recorded(None)
    wanted, there = description(problem), features_of(manifest)
    sides = ("inputs", "targets")
    changed = [key for key in sides if records.layout(there[key]) != records.layout(wanted[key])]
    changed += [f"normalization of {key}" for key in sides if _normalized_otherwise(there[key], wanted[key])]
    if manifest.get("described", "") != problem.described:
        changed.append("description")
    if [*manifest["splits"], *manifest.get("empty_splits", ())] != list(problem.splits):
        changed.append("splits")
    changed += [key for key, value in options.items() if manifest.get(key, type(value)()) != value]
    if changed:
        return Recorded(manifest, f"its {' and '.join(changed)} changed")
    damaged = records.damaged_shards(data_dir, manifest["splits"].values(), verify)
    return Recorded(manifest, _damage(data_dir / damaged[0], verify) if damaged else "", bool(damaged))


def description(problem: Problem) -> dict[str, Any]:
    """Returns a problem's spec as JSON holds it."""
    return json.loads(json.dumps(problem.spec().to_dict()))


def _damage(path: Path, verify: bool) -> str:
    """Returns what is wrong with a damaged shard; with `verify` it reads the records to find the place."""
    if not path.is_file():
        return f"{path.name} is missing"
    if not verify:
        return f"{path.name} is not of the size that its manifest says"
    offset = records.first_bad_record(path)
    where = "though its records are whole" if offset is None else f"the first bad record is at byte {offset}"
    return f"{path.name} is not as its manifest says: {where}"


def _normalized_otherwise(recorded: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Returns whether records name another normalization than `wanted`; records that name none are kept."""
    return "normalization" in recorded and recorded["normalization"] != wanted.get("normalization")
