"""The verbs that use what was trained, as functions."""

from __future__ import annotations

import os
from collections.abc import Sequence

from medcls.classifier import Classifier, load_classifier
from medcls.classifier.backends.parity_record import EngineName
from medcls.config.network_names import GIVEN
from medcls.errors import UsageError
from medcls.evaluation.acquisition import Method
from medcls.evaluation.metrics.further import check_trained_with, given_metrics
from medcls.evaluation.metrics.metric import Metric
from medcls.files import as_path, as_path_or_none
from medcls.networks.given import Given, given_network
from medcls.privacy import load_pseudonyms
from medcls.progress import SILENT, Progress, as_progress
from medcls.runs.evaluation_result import EvaluationResult
from medcls.runs.explanation_files import Explanations
from medcls.runs.folder import model_folder, newest_finished, open_run
from medcls.runs.training_cases import knowing_training
from medcls.scores.right_verb import check_no_table
from medcls.values.map_methods import MapMethodName
from medcls.workflows.commands.evaluate import evaluate_run
from medcls.workflows.commands.explain import explain as explain_run
from medcls.workflows.commands.infer import Inference
from medcls.workflows.commands.infer import infer as infer_scans
from medcls.workflows.commands.suggest import DEFAULT, Suggestions, suggest_scans

PathLike = str | os.PathLike[str]


def load(
    path: PathLike | None = None,
    *,
    engine: EngineName = "auto",
    network: Given | None = None,
    progress: Progress = SILENT,
) -> Classifier:
    """Load the classifier of a run, or of a classifier's folder; by default of the newest finished run.

    It marks predictions for images that it was trained or tuned on (``trained-on`` in the notes) where its run lists them.

    Args:
        path: The folder, or the run's name.
        engine: What computes predictions: ``torch``; ``openvino`` (``pip install 'medcls[fast]'``); or ``auto``: OpenVINO on
            a CPU where it is installed and agrees with torch.
        network: The network that :func:`medcls.train` was given, where it was given one.
        progress: Where to say why an engine is not used, or the run's list of training cases cannot be.

    Raises:
        ClassifierError: It is damaged, or the engine cannot compute it.
        MissingExtraError: The engine is not installed.
        RunError: There is no such run, it is not finished, or no path is given and no run has finished.

    Examples:
        >>> import medcls
        >>> classifier = medcls.load("runs/lung")
        >>> classifier.labels
        ('ill', 'well')
    """
    progress = as_progress(progress)
    folder = newest_finished().path if path is None else model_folder(as_path(path, "the model"))
    with given_network(network):
        classifier = load_classifier(folder, engine=engine, progress=progress)
    if network is not None and classifier.model.name != GIVEN:
        raise UsageError(f"the classifier has its own network, {classifier.model.name}", remedy="Leave out network=")
    return knowing_training(classifier, progress)


def infer(
    scans: PathLike,
    model: PathLike | None = None,
    out: PathLike | None = None,
    *,
    explain: bool = False,
    method: MapMethodName | None = None,
    layer: str | None = None,
    keep_names: bool = False,
    overwrite: bool = False,
    engine: EngineName = "auto",
    network: Given | None = None,
    progress: Progress = SILENT,
) -> Inference:
    """Classify scans and write ``predictions.csv`` and ``predictions.json``; see :mod:`medcls.workflows.commands.infer`.

    Args:
        scans: A file, a folder of any depth, or a CSV table with a column ``scan``.
        model: As ``path`` of :func:`load`.
        out: Folder for the predictions; by default ``predictions``, with a number when it is taken.
        explain: Also write overlays and maps of what argued for a label.
        method: As for :func:`explain`.
        layer: As for :func:`explain`.
        keep_names: Give identifiers of patients, orders, studies and series as they are, and not as keyed hashes.
        overwrite: Replace earlier predictions in ``out``.
        engine: As for :func:`load`.
        network: As for :func:`load`.
        progress: Where to say how far it is.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> predictions = medcls.infer("scans", "runs/lung", out="predictions")
        >>> predictions.answered, predictions.rows[0].prediction.predicted
        (24, ('well',))
    """
    scans = as_path(scans, "scans")
    classifier = load(model, engine=engine, network=network, progress=progress)
    folder = as_path_or_none(out, "out")
    return infer_scans(
        classifier,
        scans,
        folder,
        load_pseudonyms(keep=keep_names, progress=as_progress(progress)),
        explain=explain,
        method=method,
        layer=layer,
        overwrite=overwrite,
        progress=progress,
    )


def evaluate(
    run: PathLike,
    cases: PathLike | None = None,
    out: PathLike | None = None,
    *,
    allow_leakage: str | None = None,
    exploratory: bool = False,
    overwrite: bool = False,
    network: Given | None = None,
    metrics: Sequence[Metric] = (),
    progress: Progress = SILENT,
) -> EvaluationResult:
    """Evaluate a run's frozen classifier on its test partition again, or on an external cohort.

    Args:
        run: The run.
        cases: A table of an external cohort; ``None``: the run's own test partition.
        out: Folder for the results; by default one in the run, with a number when it is taken.
        allow_leakage: Why cases may be evaluated that the classifier was trained or tuned on; the report says it first.
        exploratory: Choose the threshold anew on these cases; every page is marked.
        overwrite: Replace earlier results in ``out``.
        network: As for :func:`load`.
        metrics: The metrics that :func:`medcls.train` was given as objects.
        progress: Where to say how far it is.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> auc = medcls.evaluate("runs/lung").metrics["auc"]
        >>> auc["low"] <= auc["value"] <= auc["high"]
        True
    """
    with given_network(network), given_metrics(metrics) as further:
        check_no_table(path := as_path(run, "the run"))
        found = open_run(path)
        if further:
            check_trained_with(found.load_config(), further)
        return evaluate_run(
            found,
            cases=as_path_or_none(cases, "the table of cases"),
            out=as_path_or_none(out, "out"),
            allow_leakage=allow_leakage,
            exploratory=exploratory,
            overwrite=overwrite,
            progress=as_progress(progress),
        )


def explain(
    scans: PathLike | None = None,
    model: PathLike | None = None,
    *,
    label: str | None = None,
    method: MapMethodName | None = None,
    layer: str | None = None,
    out: PathLike | None = None,
    keep_names: bool = False,
    overwrite: bool = False,
    network: Given | None = None,
    progress: Progress = SILENT,
) -> Explanations:
    """Write overlays and maps of what argued for a label in scans, or of a run's test cases, and the tables of which is whose.

    Args:
        scans: As for :func:`infer`; ``None``: the run's test cases.
        model: As ``path`` of :func:`load`.
        label: The label to argue for; by default the positive one, or the most probable.
        method: What makes the maps: ``grad-cam``, ``grad-cam++``, ``hirescam``, ``layercam``, ``score-cam``,
            ``integrated-gradients``, ``smoothgrad``, ``occlusion``, ``lime`` or ``kernel-shap``; by default as the run's config
            has it.
        layer: Of the methods up to ``score-cam``, the block of the network to look at, as ``block3``; by default the last.
        out: Folder for the files; by default ``explanations``, or ``explanations-test`` of the run, with a number when it is
            taken.
        keep_names: As for :func:`infer`; a run's test cases are called as its config says.
        overwrite: Replace earlier explanations in ``out``.
        network: As for :func:`load`.
        progress: Where to say how far it is.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> explained = medcls.explain("scans/image01.png", "runs/lung", out="looked").explained
        >>> len(explained)
        1
    """
    with given_network(network):
        return explain_run(
            as_path_or_none(scans, "scans"),
            as_path_or_none(model, "the model"),
            load_pseudonyms(keep=keep_names, progress=as_progress(progress)),
            label=label,
            method=method,
            layer=layer,
            out=as_path_or_none(out, "out"),
            overwrite=overwrite,
            progress=as_progress(progress),
        )


def suggest(
    run: PathLike,
    scans: PathLike,
    out: PathLike | None = None,
    *,
    count: int = 20,
    method: Method = DEFAULT,
    overwrite: bool = False,
    network: Given | None = None,
    progress: Progress = SILENT,
) -> Suggestions:
    """Which scans without a label to label next, one of a patient: see :mod:`medcls.evaluation.acquisition`.

    Args:
        run: A finished run, whose classifier asks.
        scans: As for :func:`infer`; a table's column ``patient`` says whose a scan is.
        out: Folder for ``suggestions.csv`` and ``left-out.csv``; by default ``suggestions``, with a number when it is taken.
        count: How many patients.
        method: ``entropy``, ``margin``, ``bald`` (of an ensemble), ``core_set`` or ``badge``.
        overwrite: Replace earlier suggestions in ``out``.
        network: As for :func:`load`.
        progress: Where to say how far it is.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> asked = medcls.suggest("runs/lung", "scans", out="suggested", count=5)
        >>> len(asked.rows)
        5
    """
    with given_network(network):
        return suggest_scans(
            open_run(as_path(run, "the run")),
            as_path(scans, "scans"),
            as_path_or_none(out, "out"),
            count=count,
            method=method,
            overwrite=overwrite,
            progress=as_progress(progress),
        )
