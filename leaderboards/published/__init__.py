"""Published numbers: one CSV for each paper."""
