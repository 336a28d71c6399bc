"""How far long work is: lines in a log at least every ten seconds, by a clock that the test moves."""

from __future__ import annotations

import io

import pytest

from medcls.progress import EVERY, SILENT, Progress


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def plain(clock: Clock) -> tuple[Progress, io.StringIO]:
    stream = io.StringIO()
    return Progress(stream=stream, clock=clock), stream


def test_items_are_counted_every_ten_seconds_with_the_time_left(clock: Clock) -> None:
    progress, stream = plain(clock)
    assert list(_slowly(progress, clock, items=25, each=4)) == list(range(25))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "  … Preparing: 3 of 25, 12 s, about 88 s left"
    assert lines[1] == "  … Preparing: 6 of 25, 24 s, about 76 s left"
    assert len(lines) == 25 // 3


def _slowly(progress: Progress, clock: Clock, *, items: int, each: float) -> object:
    for item in progress.track(range(items), "Preparing"):
        clock.now += each
        yield item


def test_a_long_item_and_what_is_not_counted_give_a_sign_of_life(clock: Clock) -> None:
    progress, stream = plain(clock)
    said = stream.getvalue
    clock.now += EVERY - 0.1
    progress.tick()
    assert said() == ""
    clock.now += 0.1
    progress.tick()
    assert said() == "  … Starting, 10 s\n"  # the first line comes within ten seconds, whatever is going on
    progress.begin("Evaluating")
    clock.now += 15
    progress.tick()
    progress.tick()
    assert said().endswith("Evaluating\n  … Evaluating, 15 s\n")
    progress.note("  warning: few cases")
    clock.now += 15
    progress.tick()
    assert said().endswith("  warning: few cases\n  … Evaluating, 30 s\n")  # a warning is nothing that goes on
    with progress.doing("Epoch 3 of 40", 100) as advance:
        clock.now += 9
        for _ in range(5):
            advance()
        clock.now += 7200
        progress.tick()
    assert said().endswith("  … Epoch 3 of 40: 5 of 100, 2 h 0 min, about 38 h 3 min left\n")
    clock.now += 20
    progress.tick()
    assert said().endswith("  … Evaluating, 2 h 1 min\n")
    progress.note("Done: report.html")
    clock.now += 15
    progress.tick()
    assert said().endswith("Done: report.html\n  … Working, 15 s\n")


@pytest.mark.parametrize(
    ("done", "of", "seconds", "left"),
    [
        (1, 80, 17, ""),
        (3, 80, 17, ""),
        (4, 80, 9, ""),
        (4, 80, 17, ", about 5 min left"),
        (20, 100_000, 20, ", about 27 h"),
    ],
)
def test_the_time_left_is_said_once_it_is_known(done: int, of: int, seconds: int, left: str, clock: Clock) -> None:
    progress, stream = plain(clock)
    with progress.doing("Preparing", of) as advance:
        clock.now += seconds
        progress._last = clock.now
        for _ in range(done):
            advance()
        progress._last = -EVERY
        progress.tick()
    line = stream.getvalue()
    assert line.startswith(f"  … Preparing: {done} of {of}, {seconds} s{left}")
    assert bool(left) is ("left" in line)


def test_lines_that_are_said_anyway_are_sign_enough(clock: Clock) -> None:
    progress, stream = plain(clock)
    for number in range(6):
        clock.now += 8
        progress.note(f"epoch {number}")
        progress.tick()
    assert len(stream.getvalue().splitlines()) == 6


def test_quiet_is_quiet_and_a_terminal_has_bars(clock: Clock) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for progress in (Progress(quiet=True, stream=io.StringIO(), clock=clock), Progress(stream=Terminal(), clock=clock)):
        with progress.beating():
            clock.now += 100
            progress.tick()
        assert progress.stream.getvalue() == ""
    terminal = Progress(stream=Terminal(), clock=clock)
    assert list(terminal.track(iter("abc"), "Reading", total=3)) == ["a", "b", "c"]
    with terminal.doing("Epoch 1 of 2", 2) as advance:
        advance()
    assert "Reading" in terminal.stream.getvalue()
    assert "Epoch 1 of 2" in terminal.stream.getvalue()
    assert list(SILENT.track([1], "x")) == [1]
    # What is part of an item has a bar beside that of the items, in one display.
    for _ in terminal.track("ab", "Explaining"):
        assert list(terminal.track("cd", "Occlusion")) == ["c", "d"]
    assert "Occlusion" in terminal.stream.getvalue()
    assert terminal._bars is None


def test_a_verb_beats_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    import typer

    from medcls.cli.exits import exiting
    from medcls.cli.screen import lively

    def verb() -> int:
        lively(False)
        assert "progress" in {one.name for one in threading.enumerate()}
        return 0

    with pytest.raises(typer.Exit):
        exiting(verb)()
    assert "progress" not in {one.name for one in threading.enumerate()}
