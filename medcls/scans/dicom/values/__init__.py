"""From stored values to values of the modality: rescale, look-up tables, SUV."""
