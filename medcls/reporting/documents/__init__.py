"""Documents beside the report."""
