"""Optimisation, checkpoints and what is recorded of a run."""
