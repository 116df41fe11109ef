"""The catalogue: one file per family, found by name when asked for."""
