"""``figures``: what a run's report draws, as single files for a paper, each with a table of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medcls.bounded import read_json
from medcls.errors import RunError
from medcls.files import read_csv, reading_kept, write_bytes, write_csv
from medcls.names import file_stem
from medcls.progress import SILENT, Progress
from medcls.reporting.charts.paper_figures import paper_figures
from medcls.reporting.content import Epoch
from medcls.runs.changed_files import changed_files
from medcls.runs.folder import CLASSIFIER_FILE, Run, open_run
from medcls.runs.output_folder import alone, discard_earlier, results_folder

FigureFormat = Literal["svg", "pdf", "png"]
_NOT_JUDGED = "tune"


@dataclass(frozen=True)
class FigureFiles:
    """What was written.

    Attributes:
        folder: Where it is.
        of: Which study of ``metrics.json`` the figures show: ``test``, ``pooled``, or that of other cases.
        figures: The drawings, each beside a CSV table of the same name.
    """

    folder: Path
    of: str
    figures: tuple[Path, ...]


@alone
def write_figure_files(
    run: Path,
    *,
    kind: FigureFormat = "pdf",
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> FigureFiles:
    """Write each figure of a run's report, or of an evaluation's, as a file of its own.

    Args:
        run: A run, by name or path, or the folder of an evaluation.
        kind: ``svg`` and ``pdf`` are drawings of lines; ``png`` is a picture of 300 points an inch.
        out: Folder for the files; by default ``figures`` in the run.
        overwrite: Replace earlier ones.
        progress: Where to say what to mind.

    Raises:
        RunError: There is no such run, or it has no figures yet.
        UsageError: The folder has such files already.
    """
    folder = Run(run) if (run / "metrics.json").is_file() else open_run(run)
    evaluations = folder.metrics
    progress.warn(*changed_files(folder.path))
    evaluated = [
        name
        for name in ("pooled", "test", *evaluations)
        if name != _NOT_JUDGED and "cases_per_label" in evaluations.get(name, {})
    ]
    if not evaluated:
        raise RunError("no cases were evaluated, so there are no figures", where=str(folder.path))
    figures = paper_figures(evaluations[evaluated[0]], read_epochs(folder), _best_epoch(folder))
    taken: set[str] = set()
    stems = [file_stem(one.name, taken) for one in figures]
    names = [f"{stem}.{ending}" for stem in stems for ending in (kind, "csv")]
    target = results_folder(out, folder.path / "figures", names, overwrite=overwrite)
    discard_earlier(target, names)
    for stem, one in zip(stems, figures, strict=True):
        write_bytes(target / f"{stem}.{kind}", one.chart.render(kind))
        write_csv(target / f"{stem}.csv", tuple(one.rows[0]), one.rows)
    return FigureFiles(target, evaluated[0], tuple(target / f"{stem}.{kind}" for stem in stems))


def read_epochs(run: Run) -> tuple[Epoch, ...]:
    """The epochs of ``history.csv``; none where there is no such file."""
    table = run.path / "history.csv"
    if not table.is_file():
        return ()
    with reading_kept(table):
        return tuple(Epoch(int(row["epoch"]), *(_number(row, name) for name in _CURVES)) for row in read_csv(table))


_CURVES = ("train_loss", "tune_loss", "tune_auc", "learning_rate")


def _number(row: Mapping[str, str], name: str) -> float | None:
    return float(row[name]) if row.get(name) else None


def _best_epoch(run: Run) -> int | None:
    described = run.classifier_folder / CLASSIFIER_FILE
    if not described.is_file():
        return None
    with reading_kept(described):
        best: Any = read_json(described).get("provenance", {}).get("best_epoch")
        return int(best) if best is not None else None
