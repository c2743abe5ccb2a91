"""A run's directory, its launch and checks, its scores and averages."""
