"""The leakage audit of a run: written beside its training, and held against what is evaluated later."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from medcls.bounded import read_json
from medcls.classifier import Classifier
from medcls.cohort.leakage.audit import TOO_ALIKE, audit_cohort
from medcls.cohort.leakage.relations import Relations
from medcls.files import reading_kept, write_json
from medcls.privacy import Pseudonyms
from medcls.progress import Progress
from medcls.runs.training_cases import NAME, KnownCases, Overlaps, meet_training_cases, write_training_cases
from medcls.values.caution import leakage
from medcls.workflows.data.prepare import Material, size_warnings
from medcls.workflows.data.related_cases import fingerprints_of
from medcls.workflows.data.unlabelled import TABLE, write_unlabelled
from medcls.workflows.session import Session

AUDIT = "audit.json"


def write_audit(folder: Path, material: Material, pseudonyms: Pseudonyms) -> None:
    """Write ``audit.json`` and ``training-cases.csv`` of cases that have passed the gate."""
    hashes = material.found.hashes if material.found is not None else {}
    cohort, content = material.cohort, material.content
    if (unlabelled := material.unlabelled) is not None:  # was learnt from, as train was
        write_unlabelled(folder / TABLE, unlabelled.cohort, pseudonyms)
        own = {case.name: unlabelled.entries[case.name] for case in unlabelled.cohort.cases}
        hashes = {**hashes, **{name: one.text for name, one in (fingerprints_of(own) if hashes else {}).items()}}
        cohort = cohort.replace_cases((*cohort.cases, *unlabelled.cohort.cases))
        content = {**content, **unlabelled.content}
    write_training_cases(folder / NAME, cohort, content, hashes, pseudonyms)
    if material.audit is not None:
        write_json(folder / AUDIT, material.audit.to_json(pseudonyms))


def audit_evaluated(
    run: Path,
    material: Material,
    session: Session,
    *,
    allowed: str | None = None,
    known: KnownCases | None = None,
    same_key: bool = True,
    start: Path | None = None,
) -> tuple[Material, dict[str, Any]]:
    """The gate before an evaluation: no case may be one that the classifier was trained or tuned on.

    Args:
        run: The run's folder.
        material: The prepared cases that are to be evaluated.
        session: Of the run's config; its pseudonyms have the run's key if it is at hand.
        allowed: Why leaks are let through, if they are.
        known: The training cases that the run keeps; ``None`` where it keeps none.
        same_key: Whether the pseudonyms have the key that the run was made with.
        start: The folder that the scans' paths are shown from; ``None``: they are not shown.

    Returns:
        The cases, their cohort with warnings, and the contents of ``audit.json``.

    Raises:
        CohortError: A case is one of the training cases, and no reason is given.
    """
    pseudonyms = session.pseudonyms
    material = material.related(session.config, session.progress)
    found = material.found
    own_alike = found is not None and found.relations.near is not None and found.relations.near.too_alike
    too_alike = own_alike or _training_was_too_alike(run)
    hashes = {} if found is None or too_alike else found.hashes
    met = Overlaps()
    if known is not None:
        met = meet_training_cases(known, material.cohort, material.content, hashes, pseudonyms, allowed, start)
        met = replace(met, too_alike=met.too_alike or too_alike, same_key=same_key)
    audit = audit_cohort(
        material.cohort,
        material.content,
        found.relations if found is not None else Relations(),
        sides={},
        confounding=found.confounding if found is not None else (),
    )
    warned = material.cohort.warn(*met.warnings, *audit.warnings, *size_warnings(material.cohort))
    return replace(material, cohort=warned, audit=audit), _joined(audit.to_json(pseudonyms), met, pseudonyms)


def allowed_at_training(run: Path) -> str | None:
    """The reason why leaks were let through when the run was trained; ``None`` where they were not.

    Raises:
        RunError: ``audit.json`` is damaged.
    """
    path = run / AUDIT
    if not os.path.lexists(path):
        return None
    with reading_kept(path):
        found = read_json(path)["allowed"]
    return found if isinstance(found, str) else None


def _training_was_too_alike(run: Path) -> bool:
    """Whether the training cases' own images could not be told from one another by their looks."""
    path = run / AUDIT
    if not os.path.lexists(path):
        return False
    with reading_kept(path):
        return str((read_json(path).get("near_duplicates") or {}).get("reason")) == TOO_ALIKE


def say_leakage(classifier: Classifier, progress: Progress) -> None:
    """Say that a classifier was trained with leakage allowed, and why, before anybody takes its predictions."""
    allowed = classifier.provenance.get("leakage_allowed")
    if allowed:
        progress.note(
            str(
                leakage(
                    f"this classifier was trained with leakage allowed: {allowed}. What its run says of its quality is too "
                    "favourable"
                )
            )
        )


def _joined(audit: dict[str, Any], met: Overlaps, pseudonyms: Pseudonyms) -> dict[str, Any]:
    return audit | {
        "allowed": met.allowed,
        "against_training": met.to_json(pseudonyms),
        "warnings": [*map(str, met.warnings), *audit["warnings"]],
    }
