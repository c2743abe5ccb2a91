"""Scores of decoded outputs, and trivial baselines to compare them with."""
