"""The command line: commands, and errors to exit codes."""
