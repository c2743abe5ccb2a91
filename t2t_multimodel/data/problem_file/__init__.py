"""Reads problems described in TOML: loading, the schema of the keys, and the kinds of data."""
