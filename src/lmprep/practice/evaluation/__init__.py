"""Graded tasks on evaluation."""
