"""Decodes sound files of all kinds to int16 samples; a file is read whole or refused, and changes to it are counted."""
