"""``explain``: maps of what argued for a label, as pictures and as NIfTI in the scan's own space."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from medcls.classifier import Classifier, Row, load_classifier
from medcls.classifier.predict import prepare_row
from medcls.errors import MedclsError, RunError
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.changed_files import changed_classifier
from medcls.runs.explanation_files import FILES, Explanations, Writer, columns_with_maps
from medcls.runs.folder import Run, is_run, model_folder, open_run
from medcls.runs.output_folder import alone, results_folder
from medcls.values.map_methods import GRAD_CAM, MapChoice, MapMethodName
from medcls.workflows.data.find_inputs import Targets, find_targets
from medcls.workflows.data.leakage_audit import say_leakage


@alone
def explain(
    scans: Path | None,
    model: Path | None,
    pseudonyms: Pseudonyms,
    *,
    label: str | None = None,
    method: MapMethodName | None = None,
    layer: str | None = None,
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
        method: As for :func:`chosen_map`.
        layer: As for :func:`chosen_map`.
        out: Folder for the files; by default ``explanations``, or ``explanations-test`` of the run, with a number when it holds
            some.
        overwrite: Replace earlier explanations in ``out``.
        progress: Where to say how far it is.

    Raises:
        RunError: No scans are given and ``model`` is no run, or no run has finished.
        UsageError: There is nothing at the path of the scans, the classifier has no such label, method or block, or ``out`` has
            explanations.
        NothingToDo: There is no scan.
    """
    model = model_folder(model, progress)
    run = _run_of(model)
    if scans is None and run is None:
        raise RunError("no scans are given, and this is no run", where=str(model), remedy="Name scans to explain")
    default = Path("explanations") if scans is not None or run is None else run.path / "explanations-test"
    folder = results_folder(out, default, FILES, overwrite=overwrite)
    classifier = load_classifier(run.path if run else model)
    by = chosen_map(classifier, method, layer)
    say_leakage(classifier, progress)
    classifier.check_label(label)
    if scans is not None:
        progress.warn(*changed_classifier(classifier.loaded_from))
        targets = find_targets(scans, classifier.leniency, columns_with_maps(classifier.labels), progress)
    elif run is not None:
        from medcls.workflows.commands.evaluate import targets_of_test

        targets, pseudonyms = targets_of_test(run, classifier, progress)
    return explain_targets(classifier, targets, folder, pseudonyms, label=label, by=by, progress=progress)


def explain_targets(
    classifier: Classifier,
    targets: Targets,
    folder: Path,
    pseudonyms: Pseudonyms,
    *,
    label: str | None = None,
    by: MapChoice = GRAD_CAM,
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
        by: What makes the maps.
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
        writer.add(row, prediction, classifier, classifier.explain_prepared(scan, prepared, explained, by, progress))
    return writer.finish(classifier, refused, targets.columns)


def chosen_map(classifier: Classifier, method: MapMethodName | None = None, layer: str | None = None) -> MapChoice:
    """What makes the maps: what is asked for, else what the config of the classifier's run says, else Grad-CAM.

    Args:
        classifier: The classifier.
        method: Of those in :mod:`medcls.explanation.methods`; the run's layer does not go with another method.
        layer: One of the network's blocks.

    Raises:
        UsageError: There is no such method, it looks at no layer, or the network has no such block.
    """
    own, folder = GRAD_CAM, classifier.loaded_from
    if folder is not None and folder.name == "classifier" and is_run(folder.parent):
        with suppress(MedclsError):  # a config that is damaged has no say
            own = Run(folder.parent).load_config().explanation.by
    if method is not None:
        own = MapChoice(method, own.layer if method == own.method else None)
    by = own if layer is None else MapChoice(own.method, layer)
    if by.layer is not None:
        for network in classifier.networks:
            network.end_of_block(by.layer)
    return by


def _run_of(model: Path) -> Run | None:
    if (model / "classifier.json").is_file():
        return None
    return open_run(model)
