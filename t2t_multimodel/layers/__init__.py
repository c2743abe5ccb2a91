"""Keras layers of the paper's blocks, in keras.ops only."""
