"""Scans: find them, read them right, or refuse them with a reason.

``read_scan`` reads one; ``find_scans`` lists everything under a folder from headers alone. Axes and units are those of
:class:`~medcls.scans.core.scan.Scan`: channel first, then ``x, y, z`` as the affine has them, RAS+ millimetres.
"""

from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.refusals import CAUSES, RefusalCode
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import Found, Refusal, ScanSource
from medcls.scans.formats.format import Format
from medcls.scans.inspection.inspect import Inspection, InspectionRow, inspect_scans
from medcls.scans.reading import find_one, find_one_or_why, pass_slices, read_scan
from medcls.scans.search.find import find_scans

__all__ = [
    "CAUSES",
    "STRICT",
    "Format",
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
