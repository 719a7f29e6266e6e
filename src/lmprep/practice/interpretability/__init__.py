"""Graded tasks on interpretability."""
