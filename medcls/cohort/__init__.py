"""Many cases: tables and folders of them, their partitions, and the gate against leakage."""

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort
from medcls.cohort.partitions.split import split_cohort
from medcls.cohort.sources.locate import read_cohort

__all__ = ["Case", "Cohort", "Exclusion", "read_cohort", "split_cohort"]
