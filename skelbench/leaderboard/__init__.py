"""Boards: tables, statistics and what papers published."""
