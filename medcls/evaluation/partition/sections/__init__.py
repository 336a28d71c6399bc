"""The sections of a partition's evaluation beyond its metrics: a file for each, and the table of all."""
