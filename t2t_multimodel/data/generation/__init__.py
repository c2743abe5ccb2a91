"""From raw examples to shards of records: encoding, shuffling, workers, workspace."""
