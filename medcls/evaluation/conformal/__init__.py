"""Conformal prediction sets, and how often they covered the reference label."""
