"""Graded tasks on architectures."""
