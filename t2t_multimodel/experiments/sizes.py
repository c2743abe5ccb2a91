"""The sizes of the models that an experiment compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from t2t_multimodel.runs.run_config import RunConfig, build_model
from t2t_multimodel.runs.start_report import flops_forward
from t2t_multimodel.training.memory import parameter_counts


def size_of(folder: Path) -> dict[str, Any]:
    """Returns by part of a run's model the parameters, and the operations of a forward pass with their unit: [number, unit]."""
    config = RunConfig.load(folder)
    model = build_model(config)
    flops = {part: list(of) for part, of in flops_forward(model, config.hparams).items()}
    return {"parameters": parameter_counts(model), "flops": flops}
