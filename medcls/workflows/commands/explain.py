"""``explain``: Grad-CAM maps of scans, as pictures and as NIfTI in the scan's own space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medcls.classifier import Classifier, Row, load_classifier
from medcls.classifier.predict import prepare_row
from medcls.errors import RunError
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.changed_files import changed_classifier
from medcls.runs.explanation_files import FILES, Explanations, Writer, columns_with_maps
from medcls.runs.folder import Run, model_folder, open_run
from medcls.runs.output_folder import alone, results_folder
from medcls.workflows.data.find_inputs import Targets, find_targets
from medcls.workflows.data.leakage_audit import say_leakage


@alone
def explain(
    scans: Path | None,
    model: Path | None,
    pseudonyms: Pseudonyms,
    *,
    label: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Explanations:
    """Explain scans, or a run's test cases.

    Args:
        scans: A file, folder or CSV table; ``None``: the test cases of the run.
        model: A run, by name or path, or a classifier's folder; ``None``: the newest finished run.
        pseudonyms: For the identifiers of scans; a run's cases are called as its config says.
        label: The label to argue for; by default the positive one, or the most probable.
        out: Folder for the files; by default ``explanations``, or ``explanations-test`` of the run, with a number when it holds
            some.
        overwrite: Replace earlier explanations in ``out``.
        progress: Where to say how far it is.

    Raises:
        RunError: No scans are given and ``model`` is no run, or no run has finished.
        UsageError: There is nothing at the path of the scans, the classifier has no such label, or ``out`` has explanations.
        NothingToDo: There is no scan.
    """
    model = model_folder(model, progress)
    run = _run_of(model)
    if scans is None and run is None:
        raise RunError("no scans are given, and this is no run", where=str(model), remedy="Name scans to explain")
    default = Path("explanations") if scans is not None or run is None else run.path / "explanations-test"
    folder = results_folder(out, default, FILES, overwrite=overwrite)
    classifier = load_classifier(run.path if run else model)
    say_leakage(classifier, progress)
    classifier.check_label(label)
    if scans is not None:
        progress.warn(*changed_classifier(classifier.loaded_from))
        targets = find_targets(scans, classifier.leniency, columns_with_maps(classifier.labels), progress)
    elif run is not None:
        from medcls.workflows.commands.evaluate import targets_of_test

        targets, pseudonyms = targets_of_test(run, classifier, progress)
    return explain_targets(classifier, targets, folder, pseudonyms, label=label, progress=progress)


def explain_targets(
    classifier: Classifier,
    targets: Targets,
    folder: Path,
    pseudonyms: Pseudonyms,
    *,
    label: str | None = None,
    answered: Sequence[Row] = (),
    progress: Progress = SILENT,
) -> Explanations:
    """Explain scans, and write which is whose; one that cannot be read costs its own row.

    Args:
        classifier: The classifier.
        targets: The scans, and what is refused already.
        folder: Folder for the files; earlier explanations in it are replaced.
        pseudonyms: For identifiers.
        label: The label to argue for.
        answered: The rows of the targets, where they are known: the maps are then of these predictions.
        progress: Where to say how far it is.
    """
    writer = Writer(folder)
    refused: list[Row] = []
    for number, item in enumerate(progress.track(targets.items, "Explaining")):
        known = answered[number] if answered else None
        if known is not None and known.prediction is None:
            refused.append(known)
            continue
        row, scan, prepared = prepare_row(classifier, item, pseudonyms)
        row = targets.told(number, row)
        if scan is None or prepared is None:
            refused.append(row)
            continue
        prediction = known.prediction if known else None
        if prediction is None:
            prediction = classifier.prediction(next(iter(classifier.logits([prepared]))))
            prediction = classifier.with_slices(prediction, prepared, scan.affine, scan.shape)
        explained = label or classifier.label_to_explain(prediction)
        writer.add(row, prediction, classifier, classifier.explain_prepared(scan, prepared, explained))
    return writer.finish(classifier, refused, targets.columns)


def _run_of(model: Path) -> Run | None:
    if (model / "classifier.json").is_file():
        return None
    return open_run(model)
