"""How a classifier was made, for the documents of its training and of every later evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medcls.classifier import Classifier
from medcls.config import PARTITIONS, Config
from medcls.preprocessing import build_recipe
from medcls.reporting.record import Origin
from medcls.reporting.text.numbers import counted
from medcls.runs.calibration_status import calibration_sentence, why_not_calibrated
from medcls.runs.changed_files import CONFIG, changed_files, config_sums
from medcls.runs.folder import Run
from medcls.runs.training_cases import KnownCases

_MADE_WITH = ("train", "tune")


def origin_of(classifier: Classifier) -> Origin:
    """For the documents of the training itself."""
    given = classifier.provenance.get("partitions_given")
    return Origin(
        given=tuple(name for name in PARTITIONS if name in given) if isinstance(given, list) else None,
        calibrated=why_not_calibrated(classifier) is None,
        calibration=calibration_sentence(classifier),
    )


def origin_of_evaluated(classifier: Classifier, known: KnownCases | None, audit: Mapping[str, Any]) -> Origin:
    """For the documents of cases that are evaluated after the training.

    Args:
        classifier: The classifier that evaluated them.
        known: The training cases that the run keeps; ``None`` where it keeps none.
        audit: The contents of the evaluation's ``audit.json``.
    """
    made = origin_of(classifier)
    return Origin(
        given=made.given,
        evaluated=True,
        training=_training(classifier, known),
        met=_met(audit["against_training"]),
        checked=audit["against_training"]["n_training_cases"] is not None and audit["against_training"]["same_key"],
        calibrated=made.calibrated,
        calibration=made.calibration,
    )


def changed_since_training(run: Run, classifier: Classifier, config: Config) -> tuple[str, ...]:
    """What to mind where files of a run are no longer those that its training wrote.

    Args:
        run: The run.
        classifier: The run's, which knows the config that it was trained by.
        config: As the run's file says now.
    """
    return (*_changed_config(run, classifier, config), *changed_files(run.path, lambda name: name != CONFIG))


def _changed_config(run: Run, classifier: Classifier, config: Config) -> tuple[str, ...]:
    trained = classifier.provenance.get("config_sha256")
    if trained is None or trained in config_sums(run.config_file):
        return ()
    recipe = build_recipe(config.region, config.preprocessing).to_json() == classifier.recipe.to_json()
    positive = classifier.positive in (None, config.positive)
    differ = [key for key, same in (("positive", positive), ("preprocessing", recipe)) if not same]
    named = f" ({' and '.join(differ)} differ)" if differ else ""
    own = "labels, positive, recipe, calibration and threshold are the classifier's own all the same"
    return (f"the file {CONFIG} was changed after the training{named}: {own}",)


def _training(classifier: Classifier, known: KnownCases | None) -> str:
    """Cases and patients that the classifier was made with; empty where nothing is known of them."""
    if known is not None:
        rows = {name: [row for row in known.values() if row["partition"] == name] for name in _MADE_WITH}
        patients = {name: len({row["patient"] or row["case"] for row in of}) for name, of in rows.items()}
        return ", ".join(
            f"{name} {counted(len(of), 'case')} of {counted(patients[name], 'patient')}"
            for name, of in rows.items()
            if of
        )
    cases = classifier.provenance.get("cases")
    kept = {name: cases.get(name) for name in _MADE_WITH} if isinstance(cases, Mapping) else {}
    return ", ".join(f"{name} {counted(n, 'case')}" for name, n in kept.items() if isinstance(n, int) and n)


def _met(found: Mapping[str, Any]) -> str:
    """Whether cases that the classifier was made with are among those that are evaluated."""
    known = found["n_training_cases"]
    if known is None:
        return (
            "not known whether training cases are evaluated here: the run keeps no list of its training cases to hold these "
            "cases against"
        )
    tied = len({one["case"] for one in found["exact"]})
    if tied:
        return (
            f"{counted(tied, 'case')} of those evaluated here tied by patient, study or image to training cases, which was "
            "allowed: see the report's first warning"
        )
    if not found["same_key"]:
        return (
            f"equal images: no case evaluated here is tied to the {known} of training and tuning; patients and studies could "
            "not be compared, since the pseudonym key is not the one that the run was made with"
        )
    return f"patient, study, and equal images: no case evaluated here is tied to the {known} of training and tuning"
