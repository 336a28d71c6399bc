"""What scripts/benchmark-public runs: public sets as cohorts, trainings in processes of their own, and a table."""
