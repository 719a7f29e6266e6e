"""Text as symbols: tokens, n-grams, coding, decoding."""
