"""Where cohorts come from: tables and folders."""
