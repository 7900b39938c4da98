"""Measurements: of speed, and of exactness against the whole mesh."""
