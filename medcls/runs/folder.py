"""Run: the folder that holds everything about one training, and where each thing is in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcls.bounded import read_json
from medcls.config import Config, load_config
from medcls.errors import MedclsError, RunError, StorageError
from medcls.files import as_path, reading_kept, storage_error
from medcls.leftovers import PART, sweep
from medcls.names import is_plain_name, within
from medcls.nearest import beside, did_you_mean
from medcls.progress import SILENT, Progress

if TYPE_CHECKING:
    from medcls.reporting.blocks import Section

CLASSIFIER_FILE = "classifier.json"
_LOCK = ".lock"
_FIRST = {
    _LOCK,
    "excluded.csv",
    "environment.json",
    "cohort.csv",
    "audit.json",
    "training-cases.csv",
    "folds.csv",
    "plan.yaml",
}
"""What is written before ``config.yaml``."""


@dataclass(frozen=True)
class Run:
    """A run folder; see ``docs/reference/run-folder.md`` for what each file holds.

    Attributes:
        path: The folder.
        new: Whether it is still to be begun.
        further: Files that are written when it is begun: name to text.
        closing: What else stands at the end of its report, made when all but that is written.
    """

    path: Path
    new: bool = field(default=False, compare=False)
    further: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    closing: Callable[[Run], Sequence[Section]] = field(default=lambda _: (), compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", as_path(self.path, "the run"))  # a text too, from Python

    def __fspath__(self) -> str:
        """A run stands for its folder wherever a path is given."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """The resolved config, which alone repeats the run."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints, from which a killed run goes on."""
        return self.path / "checkpoints"

    @property
    def folds(self) -> Path:
        """The folds' own runs, of a cross-validation."""
        return self.path / "folds"

    @property
    def folds_file(self) -> Path:
        """What each case is in each fold, of a cross-validation."""
        return self.path / "folds.csv"

    @property
    def members(self) -> Path:
        """The members' own runs, of an ensemble."""
        return self.path / "members"

    @property
    def learning_curve(self) -> Path:
        """Runs on parts of the training patients, where a learning curve was asked for."""
        return self.path / "learning-curve"

    @property
    def classifier_folder(self) -> Path:
        """The classifier, which can be copied away and used alone."""
        return self.path / "classifier"

    @property
    def metrics_file(self) -> Path:
        """Metrics of tune and test with their intervals."""
        return self.path / "metrics.json"

    @property
    def predictions_file(self) -> Path:
        """One row for each case: partition, reference, predicted, probabilities."""
        return self.path / "predictions.csv"

    @property
    def explanations(self) -> Path:
        """Overlays and maps of the explained cases."""
        return self.path / "explanations"

    @property
    def report_file(self) -> Path:
        """The report: one file, opens offline."""
        return self.path / "report.html"

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end: the report is the last thing written."""
        return self.report_file.exists() and self.metrics_file.exists()

    @property
    def metrics(self) -> dict[str, Any]:
        """The contents of ``metrics.json``.

        Raises:
            RunError: There is none yet, or it is damaged.
        """
        if not self.metrics_file.exists():
            raise self.unfinished("metrics.json")
        with reading_kept(self.metrics_file):
            found: dict[str, Any] = read_json(self.metrics_file)
            if not isinstance(found, dict) or not all(isinstance(one, dict | list) for one in found.values()):
                raise TypeError("no studies by their names")
        return found

    def unfinished(self, lacking: str) -> RunError:
        """The error of a run that has not come to what is asked of it."""
        if not self.path.exists():
            return RunError("no such folder", where=str(self.path), remedy=beside(self.path))
        if self.report_file.exists():
            return RunError(f"the run has no {lacking} any more", where=str(self.path), remedy="Restore it from a copy")
        return RunError(
            f"the run is not finished: it has no {lacking} yet",
            where=str(self.path),
            remedy=f"Go on with 'medcls train --config FILE --run {self.name} --resume', or end its training with "
            f"'medcls finish {self.path}'",
        )

    def load_config(self) -> Config:
        """The config the run was made with."""
        return load_config(self.config_file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run against a second process; what a killed one left half-written is removed.

        Raises:
            RunError: Another process is at work in the folder, or has begun the run that was to be new.
            StorageError: A link in it leads out of it, so that what is written would be elsewhere.
        """
        from filelock import FileLock, Timeout

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._check_links()
            lock = FileLock(str(self.path / _LOCK), timeout=0)
            with lock:
                if self.new and is_run(self.path):
                    remedy = "Choose another --run NAME, or go on with --resume"
                    raise RunError("another process has begun this run", where=str(self.path), remedy=remedy)
                sweep(self.path.rglob(f".*{PART}"))
                yield
        except Timeout:
            remedy = "Wait until it has ended, or choose another --run NAME"
            raise RunError("another process is at work in this run", where=str(self.path), remedy=remedy) from None
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _check_links(self) -> None:
        """A file that is a link is replaced when it is written; a folder, and the lock, would be written through."""
        within(self.path, self.path / _LOCK)
        for folder, names, _ in os.walk(self.path):
            for name in names:
                within(self.path, Path(folder, name))


def new_run(runs: Path, name: str, *, exact: bool) -> Run:
    """A run folder that does not exist yet.

    Args:
        runs: The folder of runs.
        name: The wanted name.
        exact: The user asked for this very name, so a taken one is an error; otherwise a number is added.

    Raises:
        RunError: The name is taken, or is no plain name.
    """
    if not is_plain_name(name):
        raise RunError(f"'{name}' is no name for a run", remedy="Use letters, digits, '-' and '_'")
    if _is_free(runs / name):
        return Run(runs / name, new=True)
    if exact:
        finished = Run(runs / name).is_finished
        raise RunError(
            f"the run '{name}' exists" + (", and is finished" if finished else ""),
            where=str(runs / name),
            remedy="Choose another --run NAME"
            + (", or train it longer with --resume --set train.epochs=N" if finished else ", or go on with --resume"),
        )
    number = 2
    while not _is_free(runs / f"{name}-{number}"):
        number += 1
    return Run(runs / f"{name}-{number}", new=True)


def _is_free(folder: Path) -> bool:
    """Whether a new run can have a folder: there is none, or one in which a training was killed before it began.

    What that left is removed, unless there is anything else in the folder, or another process is at work in it.
    """
    if not os.path.lexists(folder):
        return True
    names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    if _LOCK not in names or not all(name in _FIRST or name.endswith(PART) for name in names):
        return False
    try:
        with Run(folder, new=True).locked():
            for name in names - {_LOCK}:
                (folder / name).unlink(missing_ok=True)
    except (MedclsError, OSError):
        return False
    return True


def open_run(path: str | os.PathLike[str], runs: Path = Path("runs")) -> Run:
    """The run at a path, or of a name under ``runs``.

    Raises:
        RunError: There is none.
    """
    for folder in _places(Path(path), runs):
        if is_run(folder):
            return Run(folder)
    known = [run.name for run in all_runs(runs)]
    listed = f"Runs: {', '.join(known)}" if known else f"There are no runs under '{runs}'"
    raise RunError("no run is here", where=str(path), remedy=f"{near_run(runs, Path(path).name)}{listed}")


def teacher_of(config: Config) -> Run | None:
    """The finished run that teaches a training; ``None`` where the config names none.

    Raises:
        RunError: There is no such run, or it is not finished.
    """
    if config.train.teacher is None or config.train.method == "probe":
        return None
    run = open_run(config.train.teacher, config.runs)
    if not run.is_finished:
        raise run.unfinished("report")
    return run


def near_run(runs: Path, name: str) -> str:
    """The run of the nearest name, as the beginning of a remedy; empty where none is near."""
    return did_you_mean(name, (run.name for run in all_runs(runs)))


def all_runs(runs: Path) -> list[Run]:
    """Every run under a folder, the newest first."""
    if not runs.is_dir():
        return []
    found = [Run(folder) for folder in runs.iterdir() if is_run(folder)]
    return sorted(found, key=lambda run: run.config_file.stat().st_mtime, reverse=True)


def newest_finished(runs: Path = Path("runs")) -> Run:
    """The run that finished last.

    Raises:
        RunError: None has.
    """
    finished = [run for run in all_runs(runs) if run.is_finished]
    if not finished:
        raise RunError(
            "no finished run was found",
            where=str(runs),
            remedy="Train one with 'medcls train --config FILE', or name one with --model",
        )
    return max(finished, key=lambda run: run.report_file.stat().st_mtime)


def model_folder(model: str | os.PathLike[str] | None, progress: Progress = SILENT) -> Path:
    """The folder that a model's path or a run's name means; by default that of the newest finished run, which is said.

    Raises:
        RunError: There is no such run, it has no classifier yet, or none has finished.
    """
    if model is None:
        run = newest_finished()
        progress.note(f"Classifier of the newest finished run: {run.path}")
        return run.path
    path = Path(model)
    # Data often are in a folder that is called as the run is: what can answer comes before what cannot.
    can_answer = [one for one in _places(path) if is_run(one) or (one / CLASSIFIER_FILE).is_file()]
    if can_answer:
        found = Run(can_answer[0])
        if not any(os.path.lexists(folder / CLASSIFIER_FILE) for folder in (found.path, found.classifier_folder)):
            raise found.unfinished("classifier")
        return found.path
    if path.exists() and not path.is_dir():
        raise RunError("this is a file, not a run", where=str(path), remedy="Name a run, or a classifier's folder")
    return open_run(model).path


def _places(path: Path, runs: Path = Path("runs")) -> tuple[Path, ...]:
    """Where a run of this path or name may be; a bare name is first of all that of a run under ``runs``."""
    return (runs / path, path) if len(path.parts) == 1 and not path.is_absolute() else (path, runs / path)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / "config.yaml").is_file()


def is_model(path: Path) -> bool:
    """Whether a path, or a name, is that of a run or of a classifier's folder."""
    return any(is_run(one) or (one / CLASSIFIER_FILE).is_file() for one in _places(path))


def discard_untrained(run: Run) -> None:
    """Remove a run's folder, unless something was trained in it, or another process is at work in it.

    A checkpoint, of a fold too, is never thrown away.
    """
    if not run.path.is_dir():
        return
    with suppress(RunError, StorageError), Run(run.path).locked():
        if not any(run.path.rglob("*.ckpt")):
            shutil.rmtree(run.path, ignore_errors=True)
    if run.path.is_dir() and [one.name for one in run.path.iterdir()] in ([], [_LOCK]):  # not removed while it was held
        shutil.rmtree(run.path, ignore_errors=True)


def to_resume(runs: Path, name: str) -> Run | None:
    """The newest unfinished run of a name (with or without a number), else the newest; ``None`` when there is none."""
    numbered = re.compile(re.escape(name) + r"(-\d+)?")
    candidates = [run for run in all_runs(runs) if numbered.fullmatch(run.name)]
    return next((run for run in (*candidates, None) if run is None or not run.is_finished), None) or next(
        iter(candidates), None
    )
