"""What is kept of a search: ``trials.json``, from which it goes on, with a table and a page for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from medcls.bounded import read_json
from medcls.config import Config
from medcls.config.durations import span_of
from medcls.config.sections.tune import Value
from medcls.errors import RunError
from medcls.files import reading_kept, write_csv, write_json, write_text

FILE, TABLE, PAGE = "trials.json", "trials.csv", "tuning.md"
_FORMAT = 1
_MAY_CHANGE: Any = {"tune": {"trials", "time"}, "name": True, "runs": True}
_WHY = (
    "Each setting was trained on folds within the training patients and judged by the mean AUC on the patients that a fold "
    "held out. Neither tune nor test took part. The best AUC of many is too favourable by itself: believe the run's on test."
)


@dataclass(frozen=True)
class Trial:
    """One setting, and what it was worth.

    Attributes:
        number: From 1.
        values: Key to value.
        aucs: AUC on the held-out patients of each fold.
        seconds: How long it took.
        failed: Why it came to no AUC; empty: it did.
    """

    number: int
    values: Mapping[str, Value]
    aucs: tuple[float, ...]
    seconds: float
    failed: str = ""

    @property
    def auc(self) -> float | None:
        """The mean over the folds; ``None``: it failed."""
        return None if self.failed else fmean(self.aucs)

    def in_words(self) -> str:
        """``AUC 0.871: train.learning_rate 0.001, model.name resnet18``."""
        found = f"failed, {self.failed}" if self.auc is None else f"AUC {self.auc:.3f}"
        return f"{found}: {', '.join(f'{key} {value}' for key, value in self.values.items())}"


@dataclass(frozen=True)
class Search:
    """The trials so far, in their folder.

    Attributes:
        folder: The folder.
        trials: In their order.
        run: Name of the run with the best of them; empty: it is not begun.
    """

    folder: Path
    trials: tuple[Trial, ...] = ()
    run: str = ""

    @property
    def best(self) -> Trial | None:
        """The first of the highest AUC; ``None``: none came to one."""
        done = [one for one in self.trials if one.auc is not None]
        return max(done, key=lambda one: one.auc or 0.0, default=None)

    @property
    def seconds(self) -> float:
        """How long all trials took together."""
        return sum(one.seconds for one in self.trials)

    def write(self, config: Config) -> None:
        """Write ``trials.json``, and then the table and the page of it."""
        trials = [asdict(one) for one in self.trials]
        write_json(
            self.folder / FILE, {"format": _FORMAT, "config": _searched(config), "run": self.run, "trials": trials}
        )
        keys = list(config.tune.space)
        rows = [
            {"trial": one.number, "auc": one.auc, **one.values, "seconds": round(one.seconds, 1), "failed": one.failed}
            for one in self.trials
        ]
        write_csv(self.folder / TABLE, ["trial", "auc", *keys, "seconds", "failed"], rows)
        write_text(self.folder / PAGE, self._page(keys))

    def _page(self, keys: Sequence[str]) -> str:
        best = self.best
        ranked = sorted(self.trials, key=lambda one: (one.auc is None, -(one.auc or 0.0)))
        head = ["trial", "AUC", *keys, "time"]
        rows = [
            [
                str(one.number),
                one.failed if one.auc is None else f"{one.auc:.3f}",
                *(str(one.values[key]) for key in keys),
                span_of(one.seconds),
            ]
            for one in ranked
        ]
        table = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
        said = "No setting came to an AUC." if best is None else f"**Best: trial {best.number}, {best.in_words()}.**"
        run = f"\n\nThe run with it: `{self.run}`." if self.run else ""
        return "\n".join(("# Search for settings", "", f"{said} {_WHY}{run}", "", *table, ""))


def read_search(folder: Path, config: Config) -> Search:
    """The search that a folder keeps; a new one where it keeps none.

    Raises:
        RunError: It is of another config, or damaged.
    """
    path = folder / FILE
    if not path.exists():
        return Search(folder)
    with reading_kept(path):
        kept: Mapping[str, Any] = read_json(path)
        if kept["format"] != _FORMAT:
            raise ValueError("another format")
        trials = tuple(Trial(**{**one, "aucs": tuple(one["aucs"])}) for one in kept["trials"])
        search = Search(folder, trials, str(kept["run"]))
    if kept["config"] != _searched(config):
        changed = sorted(key for key, value in _searched(config).items() if kept["config"].get(key) != value)
        raise RunError(
            f"the search was begun with another config: {', '.join(changed)} differ",
            where=str(folder),
            remedy="Only tune.trials and tune.time may change; give the search another name with --run NAME",
        )
    return search


def _searched(config: Config) -> dict[str, Any]:
    """The config as far as it decides the trials, as JSON has it."""
    return config.model_dump(mode="json", exclude=_MAY_CHANGE)
