"""Measurements: of speed, memory and start, and of exactness against the whole mesh."""
