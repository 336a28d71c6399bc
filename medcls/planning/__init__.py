"""The plan: what is chosen for a cohort and a machine where the config leaves it open, each choice with its reason."""

from medcls.planning.choice import Choice, Plan
from medcls.planning.fingerprint import CohortFingerprint, cohort_fingerprint
from medcls.planning.machine import Machine
from medcls.planning.plan_file import read_plan, write_plan
from medcls.planning.rules import Situation, choose

__all__ = [
    "Choice",
    "CohortFingerprint",
    "Machine",
    "Plan",
    "Situation",
    "choose",
    "cohort_fingerprint",
    "read_plan",
    "write_plan",
]
