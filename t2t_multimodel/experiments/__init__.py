"""Repeats the paper's tables and figure (arXiv 1706.05137, section 3): plans of runs, and tables of their results."""
