"""Whether a classifier's probabilities are calibrated, and if not, why: in words, for documents and ``metrics.json``."""

from __future__ import annotations

import math

from medcls.classifier import Classifier
from medcls.classifier.ensemble import Ensemble
from medcls.evaluation.calibration import NOWHERE
from medcls.evaluation.calibration.record import NOT_CALIBRATED

NOT_WANTED = "no calibration was asked for"


def why_not_calibrated(classifier: Classifier) -> str | None:
    """Why the probabilities are the network's own; ``None`` where a calibration changed some of them."""
    if isinstance(classifier, Ensemble):
        lacking = members_not_calibrated(classifier)
        return "; ".join(dict.fromkeys(lacking.values())) if len(lacking) == len(classifier.members) else None
    calibration = classifier.calibration
    if calibration.chosen_on == NOWHERE:
        return NOT_WANTED
    before, after = calibration.nll_before, calibration.nll_after
    # With several labels some may be calibrated where others could not be: then the fit has gained something.
    gained = before is not None and after is not None and not math.isclose(before, after, rel_tol=1e-12)
    return None if calibration.reason is None or gained else calibration.reason.replace(f": {NOT_CALIBRATED}", "")


def members_not_calibrated(ensemble: Ensemble) -> dict[str, str]:
    """Member to why its probabilities are its network's own; empty where all are calibrated."""
    found = {name: why_not_calibrated(member) for name, member in ensemble.members.items()}
    return {name: why for name, why in found.items() if why is not None}


def calibration_statement(classifier: Classifier) -> str:
    """The calibration in a line: how, where it was fitted, and what could not be."""
    if isinstance(classifier, Ensemble):
        own = f"each member's own, fitted on {'its tune part' if _of_folds(classifier) else 'tune'}"
        lacking = members_not_calibrated(classifier)
        if not lacking:
            return own
        reasons = "; ".join(dict.fromkeys(lacking.values()))
        if len(lacking) == len(classifier.members):
            return f"none: probabilities are the members' networks' own ({reasons})"
        return f"{own}; without {', '.join(lacking)} ({reasons})"
    calibration, why = classifier.calibration, why_not_calibrated(classifier)
    if why is not None:
        return "none: probabilities are the network's own" + ("" if why == NOT_WANTED else f" ({why})")
    fitted = f"{calibration.describe()}, fitted on {calibration.chosen_on}"
    return fitted if calibration.reason is None else f"{fitted} ({calibration.reason})"


def calibration_sentence(classifier: Classifier) -> str:
    """What was done about the probabilities after the training, as half a sentence."""
    why = why_not_calibrated(classifier)
    if why is not None:
        return f"probabilities were not calibrated afterwards: {why}"
    if not isinstance(classifier, Ensemble):
        return "probabilities were calibrated afterwards on tune"
    lacking = members_not_calibrated(classifier)
    but = f", but for {', '.join(lacking)} ({'; '.join(dict.fromkeys(lacking.values()))})" if lacking else ""
    own = "on its own tune part" if _of_folds(classifier) else "on tune"
    return f"each {'fold' if _of_folds(classifier) else 'member'}'s probabilities were calibrated afterwards {own}{but}"


def mean_of_members(ensemble: Ensemble) -> str:
    """What an ensemble gives out."""
    members, lacking = len(ensemble.members), len(members_not_calibrated(ensemble))
    kind = "calibrated probabilities" if not lacking else "probabilities"
    some = f", {members - lacking} of them calibrated" if 0 < lacking < members else ""
    whose = f"{members} folds' classifiers" if _of_folds(ensemble) else f"{members} classifiers"
    return f"{whose}: the mean of their {kind}{some}"


def why_no_metrics_before(classifier: Classifier) -> str:
    """Why there are no metrics of the probabilities before a calibration that may have changed nothing."""
    why = why_not_calibrated(classifier)
    if why is not None:
        return f"the probabilities were not changed by a calibration: {why}"
    if not isinstance(classifier, Ensemble):
        return "the calibration that was fitted does not change these probabilities"
    calibrated = len(classifier.members) - len(members_not_calibrated(classifier))
    of_folds = _of_folds(classifier)
    own = "the fold's own tune part" if of_folds else "tune"
    return (
        f"the probabilities of {calibrated} of {len(classifier.members)} {'folds' if of_folds else 'members'} were calibrated, "
        f"each on {own}; metrics before that are not kept"
    )


def _of_folds(ensemble: Ensemble) -> bool:
    return "folds" in ensemble.provenance
