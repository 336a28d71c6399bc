"""Checklists of reporting guidelines, filled with what a run knows."""

from medcls.reporting.checklists.filling import FILES, FilledChecklist, filled_checklists, markdown

__all__ = ["FILES", "FilledChecklist", "filled_checklists", "markdown"]
