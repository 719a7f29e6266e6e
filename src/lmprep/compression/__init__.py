"""The same model with fewer bytes, fewer weights or fewer passes."""
