"""From raw files to batches: reads raw data, makes the vocabulary and the records, and batches the records."""
