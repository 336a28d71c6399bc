"""From a config to prepared cases with their partitions."""
