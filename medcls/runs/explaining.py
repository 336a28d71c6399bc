"""``explain``: Grad-CAM maps of scans, as pictures and as NIfTI in the scan's own space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medcls.classifier import Classifier, load_classifier
from medcls.errors import RunError, ScanRefused
from medcls.names import file_stem, within
from medcls.progress import SILENT, Progress
from medcls.runs.auditing import say_leakage
from medcls.runs.folder import Run, model_folder, open_run
from medcls.runs.targets import Targets, find_targets
from medcls.scans import Refusal, ScanSource


@dataclass(frozen=True)
class ExplainedScan:
    """The files of one explained scan.

    Attributes:
        name: The scan's name.
        label: The label that the map argues for.
        picture: PNG, the plain image beside the overlay.
        map: NIfTI, with the scan's affine and shape.
        peak: World position of the hottest cell; ``None`` for an empty map.
        notes: What a reader of the map should know.
    """

    name: str
    label: str
    picture: Path
    map: Path
    peak: tuple[float, float, float] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Explanations:
    """What came of explaining.

    Attributes:
        explained: One for each scan that could be explained.
        refused: The others, and why.
        folder: Where the files lie.
    """

    explained: tuple[ExplainedScan, ...]
    refused: tuple[Refusal, ...]
    folder: Path


def explain(
    scans: Path | None,
    model: Path | None,
    *,
    label: str | None = None,
    out: Path | None = None,
    progress: Progress = SILENT,
) -> Explanations:
    """Explain scans, or a run's test cases.

    Args:
        scans: A file, folder or CSV table; ``None``: the test cases of the run.
        model: A run, by name or path, or a classifier's folder; ``None``: the newest finished run.
        label: The label to argue for; by default the positive one, or the most probable.
        out: Folder for the files; by default ``explanations/`` of the run, or of the working folder.
        progress: Where to say how far it is.

    Raises:
        RunError: No scans are given and ``model`` is no run, or no run has finished.
        UsageError: There is nothing at the path of the scans, or the classifier has no such label.
        NothingToDo: There is no scan.
    """
    model = model_folder(model, progress)
    run = _run_of(model)
    classifier = load_classifier(run.path if run else model)
    say_leakage(classifier, progress)
    classifier.check_label(label)
    if scans is not None:
        targets = find_targets(scans, classifier.leniency, progress=progress)
        return explain_found(classifier, targets, out or Path("explanations"), label=label, progress=progress)
    if run is None:
        raise RunError("no scans are given, and this is no run", where=str(model), remedy="Name scans to explain")
    from medcls.runs.evaluating import sources_of_test

    sources, refused = sources_of_test(run, classifier, progress)
    return explain_sources(
        classifier, sources, refused, out or within(run.path, run.explanations), label=label, progress=progress
    )


def explain_found(
    classifier: Classifier, targets: Targets, out: Path, *, label: str | None = None, progress: Progress = SILENT
) -> Explanations:
    """Explain every scan that was found; what was refused stays refused."""
    sources = [(one.name, one) for one in targets.items if isinstance(one, ScanSource)]
    refused = [one for one in targets.items if isinstance(one, Refusal)]
    return explain_sources(classifier, sources, refused, out, label=label, progress=progress)


def explain_sources(
    classifier: Classifier,
    sources: Sequence[tuple[str, ScanSource]],
    refused: Sequence[Refusal],
    out: Path,
    *,
    label: str | None = None,
    progress: Progress = SILENT,
) -> Explanations:
    """Explain named scans; one that cannot be read costs its own entry.

    Args:
        classifier: The classifier.
        sources: Names, which the files are called after, and scans.
        refused: Scans that were refused already.
        out: Folder for the files.
        label: The label to argue for.
        progress: Where to say how far it is.
    """
    explained: list[ExplainedScan] = []
    failed = list(refused)
    taken: set[str] = set()
    for name, source in progress.track(sources, "Explaining"):
        try:
            explanation = classifier.explain(source.read(leniency=classifier.leniency), label)
        except ScanRefused as refusal:
            failed.append(Refusal.of(refusal, name, source.paths))
            continue
        stem = file_stem(name, taken)
        picture, map_file = out / f"{stem}.png", out / f"{stem}.nii.gz"
        explanation.save_png(picture, f"Grad-CAM for '{explanation.label}'")
        explanation.save(map_file)
        explained.append(ExplainedScan(name, explanation.label, picture, map_file, explanation.peak, explanation.notes))
    return Explanations(tuple(explained), tuple(failed), out)


def _run_of(model: Path) -> Run | None:
    if (model / "classifier.json").is_file():
        return None
    return open_run(model)
