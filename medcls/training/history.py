"""History: the figures of every epoch, in a table that grows with the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from medcls.files import write_csv
from medcls.progress import Progress

COLUMNS = ("epoch", "train_loss", "tune_loss", "tune_auc", "learning_rate", "seconds")
_UNLABELLED = ("unlabeled_loss", "confident_share")  # where there are scans without labels


class History(Callback):  # type: ignore[misc]
    """Shows how far an epoch is, writes ``history.csv`` after each, and says its figures in one line.

    Its rows are part of the checkpoint, so a resumed run has the table of an uninterrupted one (seconds apart).
    """

    def __init__(self, path: Path, progress: Progress, epochs: int) -> None:
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
        for name in ("train_loss", "tune_loss", "tune_auc", *further):
            value = metrics.get(name, math.nan)
            row[name] = value if math.isfinite(value) else None
        row["learning_rate"] = self._rate
        row["seconds"] = round(time.monotonic() - self._started, 3)
        self.rows.append(row)
        write_csv(self.path, (*COLUMNS, *further), self.rows)
        self.progress.note(_line(row, self.epochs))

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])


def _line(row: dict[str, float | None], epochs: int) -> str:
    def shown(name: str) -> str:
        value = row[name]
        return "-" if value is None else f"{value:.3f}"

    share = (
        f", {row['confident_share']:.0%} of unlabelled scans learnt from"
        if row.get("confident_share") is not None
        else ""
    )
    return (
        f"  epoch {row['epoch']:.0f} of {epochs}: train loss {shown('train_loss')}, tune loss {shown('tune_loss')}, "
        f"tune AUC {shown('tune_auc')}, {row['seconds']:.0f} s{share}"
    )
