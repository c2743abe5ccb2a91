"""Readers of raw files: archives, lists, corpora, pictures and sound to raw examples."""
