"""What `scripts/bench-scans` is made of: data, clocks, readers to compare with, and the table."""
