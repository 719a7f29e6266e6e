"""Graded tasks on trust."""
