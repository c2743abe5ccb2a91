"""The paper's tables and figure (arXiv 1706.05137, section 3): declared plans of runs, and tables that read their results."""
