"""What a config asks of the labels: known as soon as the cohort is read, and so before anything takes long."""

from __future__ import annotations

from medcls.cohort import Cohort
from medcls.config import Config
from medcls.errors import ConfigError
from medcls.evaluation.calibration import methods_for, why_method_does_not_fit


def check_evaluation(config: Config, cohort: Cohort) -> None:
    """Refuse a calibration or an operating point that is not for these labels.

    Raises:
        ConfigError: So it is.
    """
    labels, multilabel = len(cohort.labels), cohort.multilabel
    method = config.evaluation.calibration_method
    misfit = None if method is None else why_method_does_not_fit(method, labels, multilabel)
    if misfit is not None:
        allowed = ", ".join(methods_for(labels, multilabel))
        raise ConfigError(misfit, where="evaluation.calibrate", remedy=f"For these labels: {allowed}")
    if cohort.space.kind == "exclusive" and config.evaluation.operating_point != "youden":
        raise ConfigError(
            f"{labels} labels that exclude each other have no threshold: the most probable one is the prediction",
            where="evaluation.operating_point",
            remedy="Leave it out, or join labels into two with data.label_values",
        )
