"""Scans: find them, read them right, or refuse them with a reason.

``read_scan`` reads one; ``find_scans`` lists everything under a folder from headers alone. Axes and units are those of
:class:`~medcls.scans.scan.Scan`: channel first, then ``x, y, z`` as the affine has them, RAS+ millimetres.
"""

from medcls.scans.codes import CAUSES, RefusalCode
from medcls.scans.find import find_scans
from medcls.scans.inspection import Inspection, InspectionRow, inspect_scans
from medcls.scans.leniency import STRICT, Leniency
from medcls.scans.reading import find_one, find_one_or_why, pass_slices, read_scan
from medcls.scans.scan import Scan
from medcls.scans.source import Found, Refusal, ScanSource

__all__ = [
    "CAUSES",
    "STRICT",
    "Found",
    "Inspection",
    "InspectionRow",
    "Leniency",
    "Refusal",
    "RefusalCode",
    "Scan",
    "ScanSource",
    "find_one",
    "find_one_or_why",
    "find_scans",
    "inspect_scans",
    "pass_slices",
    "read_scan",
]
