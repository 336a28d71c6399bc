"""What tests make: scans, cohorts, runs, scores."""
