"""The training loop with its steps, optimizers, schedule of problems, checkpoints and metrics."""
