"""``train.teacher``: a run whose classifier, or ensemble, teaches the network that is trained.

Student and teacher are to be judged on the same cases. So the teacher may have learnt from none of the student's test cases,
whose labels it would pass on, and the student from none of the teacher's.
"""

from __future__ import annotations

import numpy as np

from medcls.classifier import Classifier, load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.errors import ConfigError
from medcls.preprocessing import PreparedStore
from medcls.runs.folder import Run, teacher_of
from medcls.runs.run_tables import pseudonym_of, read_patients
from medcls.runs.training_cases import KnownCases, check_key, known_training_cases, meet_training_cases, refuse_learnt
from medcls.training.distillation import Teaching
from medcls.workflows.data.prepare import Material, prepare_cases
from medcls.workflows.session import Session

_KEY = "train.teacher"


def check_teacher(material: Material, session: Session) -> KnownCases:
    """Hold teacher and student against each other; what the teacher learnt from, which the student learns from it.

    Raises:
        ConfigError: The teacher answers other labels.
        RunError: It keeps no list of its training cases, or its pseudonyms have another key; or one of the two learns from a
            patient whom the other holds out.
        LeakageError: The teacher learnt from a patient, a study or an image of the student's test cases.
    """
    config, pseudonyms = session.config, session.pseudonyms
    run = teacher_of(config)
    if run is None:
        return {}
    classifier = load_classifier(run.path, device="cpu")
    cohort, allowed = material.cohort, config.split.allow_leakage
    if (classifier.labels, classifier.multilabel) != (cohort.labels, cohort.multilabel):
        raise ConfigError(
            f"the teacher answers other labels: {', '.join(classifier.labels)}, and not {', '.join(cohort.labels)}",
            where=_KEY,
        )
    check_key(classifier, run.name, pseudonyms)
    if allowed is None:
        own = {pseudonym_of(case, pseudonyms): case.partition for case in cohort.cases if case.partition is not None}
        refuse_learnt({run.name: read_patients(run.path / "cohort.csv"), "this training": own}, "test patient")
    known = known_training_cases(run)
    test = cohort.replace_cases(cohort.partition("test"))
    meet_training_cases(
        known, test, material.content, {}, pseudonyms, allowed, config.places_from, learner="the teacher"
    )
    return known


def teach(material: Material, session: Session) -> Teaching | None:
    """What the teacher says of the training cases, which are prepared as it wants them; ``None`` where there is none.

    Raises:
        ConfigError: A training case cannot be prepared by the teacher's recipe.
    """
    config, cohort, progress = session.config, material.cohort, session.progress
    run = teacher_of(config)
    if run is None:
        return None
    classifier = load_classifier(run.path, device=config.train.device)
    progress.note(f"Taught by {_in_words(run, classifier)}")
    cases = cohort.partition("train")
    own = cohort.replace_cases(cases)
    prepared = prepare_cases(own, classifier.recipe, PreparedStore.of(config.store), classifier.leniency, progress)
    if len(prepared.cohort.cases) < len(cases):
        raise ConfigError(
            f"{len(cases) - len(prepared.cohort.cases)} of {len(cases)} training cases cannot be prepared by its recipe",
            where=_KEY,
        )
    views = (prepared.entries[case.name].read() for case in progress.track(cases, "Asking the teacher"))
    probabilities = classifier.calibration.probabilities(np.stack(list(classifier.logits(views))))
    return Teaching.of(
        probabilities,
        temperature=config.train.teacher_temperature,
        share=config.train.teacher_share,
        multilabel=cohort.multilabel,
    )


def _in_words(run: Run, classifier: Classifier) -> str:
    kind = f"an ensemble of {len(classifier.members)}" if isinstance(classifier, Ensemble) else classifier.model.name
    return f"{run.name} ({kind})"
