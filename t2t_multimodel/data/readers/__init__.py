"""Reads raw files and yields raw examples: archives, lists, corpora, pictures and sound."""
