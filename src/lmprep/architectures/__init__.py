"""Networks over sequences: attention, positions, Transformers, recurrences, generation."""
