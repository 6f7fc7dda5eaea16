"""Converters: one file for each data set, its card beside it."""
