"""Sound files of all kinds to int16 samples: whole or refused, with a count of what was changed."""
