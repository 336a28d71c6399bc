"""The prepared store: what recipes made of scans, computed once and kept."""
