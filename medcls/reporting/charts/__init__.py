"""Charts: of the report, and of papers."""
