"""From a classifier and its predictions to evaluations, reports and documents."""
