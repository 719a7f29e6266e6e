"""Graded tasks on compression."""
