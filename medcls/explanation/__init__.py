"""What argued for a label: maps by one of several methods, brought home to the scan's own space, and drawn."""

from medcls.explanation.explanation import Explanation, explain_scan
from medcls.explanation.pointing import points_at

__all__ = ["Explanation", "explain_scan", "points_at"]
