"""What every room may use: errors, constants, files, console, processes. The standard library and tqdm alone."""
