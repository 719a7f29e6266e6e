"""Privacy, robustness, fairness: what holds when somebody tries to break it."""
