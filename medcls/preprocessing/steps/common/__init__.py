"""What several steps are made of: what a step is, resampling, cutting out, and where the patient is."""
