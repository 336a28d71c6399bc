"""Statistics that know nothing of classifiers: arrays, estimates, intervals, the bootstrap, tests."""
