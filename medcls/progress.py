"""Progress of long work, on a terminal only.

``rich`` is imported when the first bar is drawn, so that a quiet or piped command does not pay for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import Any, TypeVar

from medcls.display import one_line

T = TypeVar("T")


@dataclass
class Progress:
    """Where long work says how far it is.

    Args:
        quiet: Show nothing and say nothing.
        stream: Where notes and bars go; standard error, so that standard output stays for answers.
    """

    quiet: bool = False
    stream: Any = field(default_factory=lambda: sys.stderr)

    @property
    def drawn(self) -> bool:
        """Whether bars are drawn: on a terminal, and unless asked to be quiet."""
        return not self.quiet and bool(getattr(self.stream, "isatty", lambda: False)())

    def note(self, text: str) -> None:
        """Say one line about what is going on."""
        if not self.quiet:
            print(one_line(text), file=self.stream, flush=True)

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Yield ``items``, with a bar that has the time left when there is a terminal to draw it on."""
        if not self.drawn:
            yield from items
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        if total is None and isinstance(items, Sized):
            total = len(items)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=Console(file=self.stream), transient=True) as bar:
            yield from bar.track(items, total=total, description=what)


SILENT = Progress(quiet=True)
