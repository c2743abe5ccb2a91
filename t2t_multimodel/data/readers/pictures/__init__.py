"""Reads picture files of all common formats and turns them into the JPEG or PNG that a record holds."""
