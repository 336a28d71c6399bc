"""From paths to predictions: find the scans, read, prepare and classify them one batch at a time.

Threads read and prepare the next scans while the network computes. A scan that cannot be read costs its own row; the others
go on.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.classifier.model import TrainedModel
from medcls.classifier.predictions import Prediction, Row
from medcls.classifier.prefetch import ahead, readers
from medcls.errors import ScanRefused
from medcls.preprocessing import Prepared
from medcls.preprocessing.images.source_values import source_values
from medcls.preprocessing.store.digests import pixel_digest
from medcls.preprocessing.traits import traits_of
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.scans import Found, Refusal, Scan, ScanSource, find_one_or_why, find_scans, read_scan
from medcls.scans.core.notes import Note
from medcls.scans.search.naming import name_with_root
from medcls.tables.words import is_placeholder

_SETTING = re.compile(r"\bon_[a-z]+\b")


@dataclass(frozen=True)
class _Ready:
    row: Row
    prepared: Prepared | None
    affine: NDArray[np.float64] | None = None
    shape: tuple[int, ...] = ()


def predict_paths(
    classifier: TrainedModel,
    paths: Sequence[str | os.PathLike[str]],
    pseudonyms: Pseudonyms,
    *,
    batch_size: int = 16,
    progress: Progress = SILENT,
) -> Iterator[Row]:
    """A row for every scan found below each path; a path where nothing can be found is refused as a row of its own."""
    found = [_find(path, classifier, progress, many=len(paths) > 1) for path in paths]
    together = Found(
        scans=tuple(source for each in found for source in each.scans),
        refused=tuple(refusal for each in found for refusal in each.refused),
    )
    yield from predict_found(classifier, together, pseudonyms, batch_size=batch_size, progress=progress)


def predict_found(
    classifier: TrainedModel,
    found: Found,
    pseudonyms: Pseudonyms,
    *,
    batch_size: int = 16,
    progress: Progress = SILENT,
) -> Iterator[Row]:
    """A row for every scan that was found, then one for everything that was refused."""
    items: tuple[ScanSource | Refusal, ...] = (*found.scans, *found.refused)
    yield from predict_sources(classifier, items, pseudonyms, batch_size=batch_size, progress=progress)


def predict_sources(
    classifier: TrainedModel,
    sources: Sequence[ScanSource | Refusal],
    pseudonyms: Pseudonyms,
    *,
    batch_size: int = 16,
    progress: Progress = SILENT,
) -> Iterator[Row]:
    """A row for each scan, and for what was refused already, in order.

    Only as many scans are in memory as fill a batch, and the few that are read ahead. A scan that the classifier knows to have
    been trained or tuned on has a note of it.
    """
    waiting: deque[_Ready] = deque()
    known = classifier.trained_on

    def prepare(source: ScanSource | Refusal) -> _Ready:
        row, scan, prepared = prepare_row(classifier, source, pseudonyms)
        if known and scan is not None and pixel_digest(scan) in known:
            row = replace(row, notes=(*row.notes, Note.TRAINED_ON.says("the classifier was trained or tuned on it")))
        return _Ready(row, prepared) if scan is None else _Ready(row, prepared, scan.affine, scan.shape)

    def prepared(items: Iterable[_Ready]) -> Iterator[Prepared]:
        for ready in progress.track(items, "Classifying", len(sources)):
            waiting.append(ready)
            if ready.prepared is not None:
                yield ready.prepared

    with contextlib.closing(ahead(prepare, sources, readers())) as ready:
        for logits in classifier.logits(prepared(ready), batch_size=batch_size):
            while waiting[0].prepared is None:
                yield waiting.popleft().row
            yield _answered(classifier, waiting.popleft(), classifier.prediction(logits))
    while waiting:
        yield waiting.popleft().row


def _answered(classifier: TrainedModel, ready: _Ready, prediction: Prediction) -> Row:
    if ready.prepared is not None and ready.affine is not None:
        prediction = classifier.with_slices(prediction, ready.prepared, ready.affine, ready.shape)
    return replace(ready.row, prediction=prediction)


def prepare_row(
    classifier: TrainedModel, source: ScanSource | Refusal, pseudonyms: Pseudonyms
) -> tuple[Row, Scan | None, Prepared | None]:
    """A scan with the row that its prediction goes into; where it is refused the row says why, and there is no scan."""
    try:
        if isinstance(source, Refusal):
            raise source.error()
        scan = read_scan(classifier.recipe.taken(source), leniency=classifier.leniency)
        prepared = classifier.recipe.prepare(scan)
        far = _far(classifier, source, scan, prepared)
    except ScanRefused as refusal:
        reason = f"{refusal.what}. {refusal.remedy}" if refusal.remedy else refusal.what
        if _SETTING.search(refusal.remedy):
            reason += ". That is a setting of the training, which the classifier keeps"
        return (
            replace(named_row(source.name, source.identity, pseudonyms), code=refusal.code, reason=reason),
            None,
            None,
        )
    row = named_row(
        source.name, scan.identity, pseudonyms
    )  # of all that was read: the search may know the first file alone
    return replace(row, notes=(*scan.notes, *prepared.notes), unlike=far), scan, prepared


def named_row(name: str, identity: Mapping[str, str], pseudonyms: Pseudonyms) -> Row:
    """A row that says whose scan it is, and which.

    Args:
        name: What the scan is called.
        identity: As :attr:`medcls.scans.Scan.identity`. A PatientID such as ANONYMOUS names no patient.
        pseudonyms: What stands for identifiers.
    """
    patient, codes = identity.get("patient_id", ""), pseudonyms.of_scan(identity)
    return Row(
        name,
        patient=""
        if not patient or is_placeholder(patient)
        else pseudonyms.patient(patient, identity.get("issuer", "")),
        accession=codes["accession"],
        study=codes["study"],
        series=codes["series"],
        instance=codes["instance"],
    )


def _far(classifier: TrainedModel, source: ScanSource, scan: Scan, prepared: Prepared) -> tuple[str, ...] | None:
    """In what a scan is far from those of the training; ``None`` where nothing is kept of them."""
    if classifier.familiar is None:
        return None
    return classifier.familiar.far(traits_of(source, prepared, scan.attributes, source_values(scan)))


def _find(path: str | os.PathLike[str], classifier: TrainedModel, progress: Progress, *, many: bool) -> Found:
    """The scans below a path; with several paths, a scan's name starts with the path it was found under."""
    given = Path(path)
    try:
        if not given.is_dir():
            one = find_one_or_why(given, _shown(given, many), leniency=classifier.leniency)
            return Found(refused=(one,)) if isinstance(one, Refusal) else Found(scans=(one,))
        found = find_scans(given, leniency=classifier.leniency, progress=progress)
    except ScanRefused as refusal:
        return Found(refused=(Refusal.of(refusal, _shown(given, many), (given,)),))
    if not many:
        return found
    return replace(
        found,
        scans=tuple(replace(source, name=name_with_root(source, given)) for source in found.scans),
        refused=tuple(replace(refusal, name=name_with_root(refusal, given)) for refusal in found.refused),
    )


def _shown(path: Path, many: bool) -> str:
    return str(path) if many else path.name
