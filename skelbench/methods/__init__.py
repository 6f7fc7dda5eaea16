"""Methods: one module and one TOML each."""
