"""Graded tasks on training."""
