"""Graded tasks on transfer."""
