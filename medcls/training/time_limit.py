"""TimeLimit: training ends before an epoch that would end too late."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch.callbacks import Callback

from medcls.config.durations import span_of
from medcls.progress import Progress


class TimeLimit(Callback):  # type: ignore[misc]
    """Ends a training after an epoch when another one like it would end beyond the limit.

    The time of a run that is gone on with counts from the first epoch of all; what it stood still does not count.

    Args:
        seconds: The limit.
        progress: Where to say that it was reached.
        clock: Seconds, ever larger.
    """

    def __init__(self, seconds: float, progress: Progress, clock: Any = time.monotonic) -> None:
        self.seconds, self.progress, self.clock = seconds, progress, clock
        self.spent, self.longest = 0.0, 0.0
        self._last: float | None = None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The clock starts with the first epoch."""
        self._last = self.clock() if self._last is None else self._last

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Tune is behind us too: Lightning ends the epoch after it."""
        now = self.clock()
        epoch, self._last = now - (now if self._last is None else self._last), now
        self.spent, self.longest = self.spent + epoch, max(self.longest, epoch)
        if self.spent + self.longest > self.seconds and not trainer.should_stop:
            trainer.should_stop = True
            if trainer.current_epoch + 1 < trainer.max_epochs:
                done = f"{trainer.current_epoch + 1} of {trainer.max_epochs} epochs"
                self.progress.note(f"Ended after {done}: another would go beyond {span_of(self.seconds)}")

    def state_dict(self) -> dict[str, Any]:
        """What a run that is gone on with must know."""
        return {"spent": self.spent, "longest": self.longest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the last checkpoint."""
        self.spent, self.longest = state_dict["spent"], state_dict["longest"]
