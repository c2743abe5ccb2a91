"""Modality nets: what brings each kind of data to the body's depth and back."""
