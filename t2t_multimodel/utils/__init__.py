"""Errors, constants, files, console lines and processes. Every package may import these; they need no TensorFlow."""
