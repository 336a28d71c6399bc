"""What one file is, by its content."""
