"""Kinematic motion with known classes, for raw twins of data sets."""
