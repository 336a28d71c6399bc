"""From the frames of many files to volumes: grouped, split, laid out, read."""
