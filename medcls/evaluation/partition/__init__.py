"""The evaluation of one partition: its metrics, curves, failures and baseline, as one document with a schema."""
