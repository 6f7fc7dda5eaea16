"""The on-disk format; the only code that knows the layout of its files."""
