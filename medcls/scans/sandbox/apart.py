"""Looking at files and reading scans apart from this process: a file that its worker dies of costs itself alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medcls.scans.core.leniency import Leniency
from medcls.scans.core.limits import LOOK_SECONDS, read_seconds
from medcls.scans.core.refusals import refusal_from_json
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.probe.probe import Probed
from medcls.scans.sandbox import codec
from medcls.scans.workers.pool import Died, believing_nothing, workers


def probe_apart(paths: Sequence[str]) -> list[Probed]:
    """Look at files in a worker; a file that it dies of is refused, and the others are looked at by another one."""
    seen: list[Probed] = []
    while left := paths[len(seen) :]:
        try:
            with workers.one() as worker, believing_nothing():
                answer = worker.ask({"job": "look", "paths": list(left)}, LOOK_SECONDS, pieces=len(left))
                return [*seen, *codec.probed_from_json(answer, left)]
        except Died as death:
            # What came before may be the reason of a crash, and of too little memory: only time is a file's own.
            its_own = death.slow or len(left) == 1
            seen += probe_apart(left[: death.at])
            seen += [Probed(refused=death.reason)] if its_own else probe_apart(left[death.at : death.at + 1])
    return seen


def read_apart(source: ScanSource, leniency: Leniency) -> Scan:
    """Read a scan in a worker.

    Raises:
        ScanRefused: As the reader says, or the worker died of it.
    """
    job: dict[str, Any] = {"job": "read", "source": codec.source_to_json(source), "leniency": vars(leniency)}
    try:
        with workers.one() as worker, believing_nothing():
            answer = worker.ask({**job, "again": worker.voxels_are_gone}, read_seconds(source.walked, source.channels))
            if "scan" in answer:
                return codec.scan_from_json(answer["scan"], worker.voxels(answer["offset"], answer["bytes"]))
            refused = refusal_from_json(answer["refused"])
    except Died as death:
        raise death.reason.at(source.name) from death
    raise refused
