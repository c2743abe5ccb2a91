"""Turns raw examples into shards of records: encodes, shuffles, and resumes work that was interrupted."""
