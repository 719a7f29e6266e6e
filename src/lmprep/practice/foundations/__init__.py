"""Graded tasks on foundations."""
