"""What a model's inside says about its decisions, and how far to trust it."""
