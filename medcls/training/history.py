"""History: the figures of every epoch, in a table that grows with the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from medcls.files import write_csv
from medcls.progress import Progress

FIGURES: Mapping[str, str] = {"train_loss": "train loss", "tune_loss": "tune loss", "tune_auc": "tune AUC"}
"""What a training logs, and what it is called."""
COLUMNS = ("epoch", *FIGURES, "learning_rate", "seconds")
_UNLABELLED = ("unlabeled_loss", "confident_share")  # where there are scans without labels


class History(Callback):  # type: ignore[misc]
    """Shows how far an epoch is, writes ``history.csv`` after each, and says its figures in one line.

    Its rows are part of the checkpoint, so a resumed run has the table of an uninterrupted one (seconds apart).

    Args:
        path: The table.
        progress: Where to say the figures.
        epochs: How many there will be.
        figures: Columns that the module logs, and what they are called.
    """

    def __init__(self, path: Path, progress: Progress, epochs: int, figures: Mapping[str, str] = FIGURES) -> None:
        self.figures = figures
        self.path = path
        self.progress = progress
        self.epochs = epochs
        self.rows: list[dict[str, float | None]] = []
        self._started = 0.0
        self._rate = 0.0
        self._shown = ExitStack()
        self._advance: Callable[[], None] = lambda: None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock, and note the learning rate that the epoch begins with."""
        self._started = time.monotonic()
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        what, steps = f"Epoch {trainer.current_epoch + 1} of {self.epochs}", int(trainer.num_training_batches)
        self._advance = self._shown.enter_context(self.progress.doing(what, steps))

    def on_train_batch_end(self, *_: Any) -> None:
        """Count the step."""
        self._advance()

    def on_exception(self, *_: Any) -> None:
        """Take the bar away."""
        self._shown.close()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Add the epoch's row."""
        self._shown.close()
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row: dict[str, float | None] = {"epoch": trainer.current_epoch + 1}
        further = [name for name in _UNLABELLED if name in metrics]
        for name in (*self.figures, *further):
            value = metrics.get(name, math.nan)
            row[name] = value if math.isfinite(value) else None
        row["learning_rate"] = self._rate
        row["seconds"] = round(time.monotonic() - self._started, 3)
        self.rows.append(row)
        write_csv(self.path, ("epoch", *self.figures, "learning_rate", "seconds", *further), self.rows)
        self.progress.note(self._line(row))

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def _line(self, row: dict[str, float | None]) -> str:
        said = [
            f"{words} {'-' if (value := row[name]) is None else format(value, '.3f')}"
            for name, words in self.figures.items()
        ]
        learnt = row.get("confident_share")
        share = "" if learnt is None else f", {learnt:.0%} of unlabelled scans learnt from"
        return f"  epoch {row['epoch']:.0f} of {self.epochs}: {', '.join(said)}, {row['seconds']:.0f} s{share}"
