"""What a config file may say of the metrics: intervals, operating point, calibration, referral."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medcls.config.sections.section import Fraction, Positive, Section


class AtLeastSensitivity(Section):
    """An operating point with at least this sensitivity, and the best specificity then."""

    sensitivity: Fraction


class AtLeastSpecificity(Section):
    """An operating point with at least this specificity, and the best sensitivity then."""

    specificity: Fraction


class Costs(Section):
    """What a wrong decision costs, in any unit."""

    false_negative: Positive
    false_positive: Positive
    prevalence: Fraction | None = None


class LeastCost(Section):
    """The operating point of the least expected cost."""

    cost: Costs


class FixedThreshold(Section):
    """An operating point that is stated beforehand."""

    threshold: Fraction


class SelectByAlpha(Section):
    """How often a prediction set may miss."""

    alpha: Fraction


class SelectByCoverage(Section):
    """How often a prediction set must hold the reference label."""

    coverage: Fraction


DEFAULT_ALPHA = 0.1
OperatingPointRule = Literal["youden"] | AtLeastSensitivity | AtLeastSpecificity | LeastCost | FixedThreshold
CalibrationMethod = Literal["temperature", "platt", "isotonic", "vector", "dirichlet"]


class EvaluationSettings(Section):
    """Metrics and their intervals."""

    replicates: Annotated[int, Field(ge=100, le=1_000_000)] = Field(2000, description="Bootstrap replicates.")
    confidence: Fraction = Field(0.95, description="Confidence level of the intervals.")
    operating_point: OperatingPointRule = Field(
        "youden",
        description="How the threshold is chosen on tune: youden, {sensitivity: x}, {specificity: x}, "
        "{cost: {false_negative: a, false_positive: b, prevalence: p}} (p may be left out), or {threshold: x}.",
    )
    calibrate: bool | CalibrationMethod = Field(
        True,
        description="How probabilities are calibrated on tune: true or temperature, platt (two labels, multi-label), "
        "isotonic, vector or dirichlet (three labels or more), or false.",
    )
    prevalences: list[Fraction] = Field(
        [0.01, 0.05, 0.1, 0.2],
        description="How common a label may be elsewhere: predictive values and number needed to read are given for each.",
    )
    baseline: bool = Field(
        True,
        description="Fit simpler models too, to show what the network adds: a linear model on simple features of the input, "
        "and, where weights for 2-D input are on this machine and it is quickly done, a linear probe on their features.",
    )
    refer: Literal[False] | SelectByAlpha | SelectByCoverage = Field(
        False,
        description="Mark scans for a reader to decide, where the prediction set is not exactly the prediction: "
        "{alpha: x} (sets may miss so often) or {coverage: 1 - x}; false marks none.",
    )

    metrics: list[str] = Field(
        [], description="Further metrics, by the names under which installed packages add them (`medcls.metrics`)."
    )

    @property
    def alpha(self) -> float:
        """How often a prediction set may miss the reference label."""
        if isinstance(self.refer, SelectByAlpha):
            return self.refer.alpha
        return 1 - self.refer.coverage if isinstance(self.refer, SelectByCoverage) else DEFAULT_ALPHA

    @property
    def calibration_method(self) -> CalibrationMethod | None:
        """The method that `calibrate` means; ``None``: probabilities are left as they are."""
        if isinstance(self.calibrate, bool):
            return "temperature" if self.calibrate else None
        return self.calibrate
