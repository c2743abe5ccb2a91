"""A page and a JSON API over HTTP for the problems of a run."""
