"""Runs that train, evaluate and write a report."""
