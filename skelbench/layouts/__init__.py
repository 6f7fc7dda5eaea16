"""Layouts: one TOML for each skeleton."""
