"""Linear models: of simple features, and of those of a frozen network."""
