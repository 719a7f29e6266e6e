"""Graded tasks on pretraining."""
