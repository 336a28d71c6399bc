"""Progress of long work: bars on a terminal, and lines in a log.

``rich`` is imported when the first bar is drawn, so that a quiet or piped command does not pay for it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from medcls.display import one_line
from medcls.errors import UsageError

T = TypeVar("T")

EVERY = 10.0  # seconds: in a log, nobody waits longer for a sign of life
_LOOK = 1.0  # seconds between looks at the clock
_ENOUGH, _ENOUGH_PARTS = 0.05, 20
"""Of the whole, or so many parts, and EVERY seconds: before that the time left is a guess of the first parts."""


@dataclass
class _Work:
    """What is going on.

    Attributes:
        what: In words.
        begun: When, by the clock.
        done: How many are done.
        total: Of how many; ``None``: not known.
    """

    what: str
    begun: float
    done: int = 0
    total: int | None = None

    def said(self, now: float) -> str:
        """How far it is: ``Preparing: 120 of 800, 2 min, about 11 min left``."""
        count = "" if not self.done and self.total is None else f": {self.done}"
        of = "" if self.total is None else f" of {self.total}"
        took = now - self.begun
        known = self.total and self.done >= min(_ENOUGH * self.total, _ENOUGH_PARTS) and took >= EVERY
        left = took / self.done * (self.total - self.done) if known and self.done and self.total else 0
        return f"{self.what}{count}{of}, {_time(took)}" + (f", about {_time(left)} left" if left >= 1 else "")


@dataclass
class Progress:
    """Where long work says how far it is.

    On a terminal there are bars. Elsewhere there is a line when nothing was said for ten seconds: as soon as an item is done,
    and also in the middle of one while :meth:`beating`.

    Args:
        quiet: Show nothing and say nothing.
        stream: Where notes and bars go; standard error, so that standard output stays for answers.
        clock: Seconds, from any beginning.
    """

    quiet: bool = False
    stream: Any = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    _bars: Any = field(default=None, repr=False)
    _works: list[_Work] = field(default_factory=list, repr=False)
    _noted: _Work = field(init=False, repr=False)
    _last: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._last = self.clock()
        self._noted = _Work("Starting", self._last)

    @property
    def drawn(self) -> bool:
        """Whether bars are drawn: on a terminal, and unless asked to be quiet."""
        return not self.quiet and bool(getattr(self.stream, "isatty", lambda: False)())

    def note(self, text: str) -> None:
        """Say one line. It is nothing that goes on; what is indented belongs to what was begun."""
        if not self.quiet:
            self._say(text)
            if not text.startswith(" "):
                self._noted = _Work("Working", self._last)

    def warn(self, *texts: str) -> None:
        """Say what a reader must know before believing what follows, each text once, on a line of its own."""
        for text in dict.fromkeys(texts):
            self.note(f"  warning: {text}")

    def begin(self, text: str) -> None:
        """Say what is going on from here on, until another line is said."""
        if not self.quiet:
            self._say(text)
            self._noted = _Work(text, self._last)

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Yield ``items``, and show how many are done and, where it is known how many there are, the time left."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        with self.doing(what, total) as advance:
            for item in items:
                yield item
                advance()

    @contextmanager
    def doing(self, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """Show that something is being done; what is given is to be called whenever a part of it is.

        Args:
            what: In words.
            total: How many parts there are, where it is known.
        """
        if self.quiet:
            yield lambda: None
        elif self._bars is not None:  # a part of what is shown already: a terminal has one place for bars
            task = self._bars.add_task(what, total=total)
            try:
                yield lambda: self._bars.advance(task)
            finally:
                self._bars.remove_task(task)
        elif self.drawn:
            with self._bar() as self._bars:
                task = self._bars.add_task(what, total=total)
                try:
                    yield lambda: self._bars.advance(task)
                finally:
                    self._bars = None
        else:
            work = _Work(what, self.clock(), total=total)
            self._works.append(work)

            def advance() -> None:
                work.done += 1
                self.tick()

            try:
                yield advance
            finally:
                self._works.remove(work)

    def tick(self) -> None:
        """Say how far the work is, where it is time to say so again."""
        now = self.clock()
        if self.quiet or self.drawn or now - self._last < EVERY:
            return
        work = self._works[-1] if self._works else self._noted
        self._say(f"  … {work.said(now)}")

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Look at the clock all the while, so that there is a line in the middle of a long item too."""
        if self.quiet or self.drawn:
            yield
            return
        over = threading.Event()

        def beat() -> None:
            while not over.wait(_LOOK):
                with contextlib.suppress(ValueError, OSError):  # a stream that was closed has no reader
                    self.tick()

        thread = threading.Thread(target=beat, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _say(self, text: str) -> None:
        self._last = self.clock()
        print(one_line(text), file=self.stream, flush=True)

    def _bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        return Bar(*columns, console=Console(file=self.stream), transient=True)


def _time(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


SILENT = Progress(quiet=True)


def as_progress(value: object) -> Progress:
    """What a caller of Python gave as a progress.

    Raises:
        UsageError: It is none, but ``True``, the class itself or the like.
    """
    if isinstance(value, Progress):
        return value
    remedy = "Give medcls.progress.Progress(), or leave it out for silence"
    raise UsageError("progress must be a Progress, and is none", remedy=remedy)
