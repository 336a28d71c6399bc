"""What every reader shares: scans and their sources, refusals, notes, limits and leniency."""
