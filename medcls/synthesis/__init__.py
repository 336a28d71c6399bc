"""Synthesis: cohorts that look like a hospital's export, with known answers and known places of the lesions.

For demos, tests and benchmarks. The pictures are painted from simple shapes and noise; they teach nothing about people.
"""

from medcls.synthesis.cohort import SyntheticCohort, write_cohort
from medcls.synthesis.lesion import Lesion, distance_to_lesion, load_lesions
from medcls.synthesis.plan import REGIONS, SyntheticRegion

__all__ = [
    "REGIONS",
    "Lesion",
    "SyntheticCohort",
    "SyntheticRegion",
    "distance_to_lesion",
    "load_lesions",
    "write_cohort",
]
