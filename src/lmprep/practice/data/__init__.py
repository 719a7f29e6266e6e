"""Graded tasks on data."""
