"""Models: one module and one TOML each; `blocks` holds what at least two share."""
