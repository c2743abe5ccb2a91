"""From raw files to batches: problems, vocabulary, records, and the input pipeline."""
