"""Metrics of decoded outputs (BLEU, WER, CIDEr-D, labelled brackets ...), and trivial baselines to compare them with."""
