"""What a SavedModel does in its graph, without this package: decodes pictures and sound, and turns text into ids and back."""
