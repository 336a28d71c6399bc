"""The search for settings: what may be varied, what a trial is worth, what is kept of trials, and the verb ``tune``."""
