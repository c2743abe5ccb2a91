"""The commands. Each module defines a command's flags, checks them, and calls the package that does the work."""
