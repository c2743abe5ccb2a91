"""Runs in the graph of a SavedModel, without this package: decodes pictures and sound, and turns text into ids and back."""
