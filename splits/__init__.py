"""Protocols: one TOML for each data set, with its list files."""
