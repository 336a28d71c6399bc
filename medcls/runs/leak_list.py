"""Tables beside where the results would have been, since one line names only a few: what leaks tie, what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medcls.cohort.cohort import LostLabelError
from medcls.cohort.leakage.gate import LeakageError
from medcls.config.settings import PrivacySettings
from medcls.errors import StorageError, in_words
from medcls.files import write_csv
from medcls.reporting.text.numbers import counted

COLUMNS = ("group", "reason", "case", "patient", "side", "line", "scan")


@contextmanager
def leaks_listed(results: Path) -> Iterator[None]:
    """Write what a leak that ends the block ties, whole, and say in its line where.

    Args:
        results: The folder that does not come about; the table is beside it, as ``NAME-leaks.csv``. One from before is
            replaced.

    Raises:
        LeakageError: The one that ended the block, with the path; or with the reason why there is no table.
    """
    try:
        yield
    except LeakageError as error:
        path = results.with_name(f"{results.name}-leaks.csv")
        try:
            write_csv(path, [one for one in COLUMNS if any(row.get(one) is not None for row in error.rows)], error.rows)
        except (StorageError, OSError) as fault:
            raise error.listed(f"the list of all of them could not be written: {in_words(fault)}") from error
        groups = counted(len({row["group"] for row in error.rows}), "group")
        raise error.listed(f"all of them ({groups}) stand in {path}") from error


@contextmanager
def left_out_listed(results: Path, privacy: PrivacySettings, start: Path | None) -> Iterator[None]:
    """Write what is left out where that ends the block, since a label then lacks cases, and say in its line where.

    Args:
        results: The folder that does not come about; the table is beside it, as ``NAME-excluded.csv``.
        privacy: The keys of pseudonyms.
        start: As of :func:`medcls.runs.run_tables.write_excluded`.

    Raises:
        LostLabelError: The one that ended the block, with the path; or with the reason why there is no table.
    """
    try:
        yield
    except LostLabelError as error:
        from medcls.runs.run_tables import write_excluded  # torch comes with it

        path = results.with_name(f"{results.name}-excluded.csv")
        try:
            write_excluded(path, error.cohort, privacy.pseudonyms(), start)
        except (StorageError, OSError) as fault:
            raise error.listed(f"the list of what is left out could not be written: {in_words(fault)}") from error
        raise error.listed(f"all that is left out stands in {path}") from error
