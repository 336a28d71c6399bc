"""A table where a run is to be evaluated, or a run where a table of scores is: one line says the right verb."""

from __future__ import annotations

from pathlib import Path

from medcls.errors import UsageError
from medcls.runs.folder import is_model

_TABLES = (".csv", ".tsv")


def check_no_table(run: Path) -> None:
    """Refuse a table where a run is to be evaluated.

    Raises:
        UsageError: It is one.
    """
    if run.suffix.lower() in _TABLES and run.is_file():
        raise UsageError(
            "this is a table, not a run",
            where=str(run),
            remedy=f"For a table of scores write medcls evaluate-scores {run}; for one of other cases medcls evaluate RUN "
            f"--cases {run}",
        )


def check_no_run(table: Path) -> None:
    """Refuse a run, by path or name, where a table of scores is to be evaluated.

    Raises:
        UsageError: It is one.
    """
    if not table.is_file() and is_model(table):
        raise UsageError(
            "this is a run, not a table of scores",
            where=str(table),
            remedy=f"Write medcls evaluate {table}; medcls compare compares runs with tables",
        )
