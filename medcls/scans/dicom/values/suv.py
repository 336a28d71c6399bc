"""PET as standardised uptake values (SUV): what values are multiplied by, or in words why they cannot be.

``SUVbw = activity per ml * weight in g / injected dose``, the dose decayed to the time that the values were corrected to. The
rules are those of QIBA's vendor-neutral pseudocode (FDG-PET/CT Profile 1.13, appendix G), the units those of PS3.3 C.8.9.1; an
enhanced object says itself which time that is (C.8.22). ``SUVlbm`` has the lean body mass of Janmahasatian et al., Clin
Pharmacokinet 2005; 44: 1051, in place of the weight, as PERCIST and EANM advise.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from medcls.scans.dicom.parse import text as t

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

KINDS = {"suv_bw": "BW", "suv_lbm": "LBMJANMA"}
"""The attributes that hold the factors, and what DICOM calls the values (SUVType)."""

_BLOCKS = (0x10, 0x11, 0x12)
_PHILIPS, _GE = (0x7053, "PHILIPS PET PRIVATE GROUP"), (0x0009, "GEMS_PETD_01")
_SUV_SCALE, _ACTIVITY_SCALE, _SCAN_START = 0x00, 0x09, 0x0D

UPTAKE_TAGS = (
    *("Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "SeriesTime"),
    *("AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration", "RadiopharmaceuticalInformationSequence"),
    *("DecayCorrected", "AttenuationCorrected", "DecayCorrectionDateTime"),
    *(group << 16 | element for group, _ in (_PHILIPS, _GE) for element in _BLOCKS),
    *(_PHILIPS[0] << 16 | block << 8 | element for block in _BLOCKS for element in (_SUV_SCALE, _ACTIVITY_SCALE)),
    *(_GE[0] << 16 | block << 8 | _SCAN_START for block in _BLOCKS),
)
"""Every attribute that this module needs beside those of any image."""

_WITHIN_A_DAY_S = 6 * 3600.0  # of a longer half-life, an injection may be days ago
_MOST_HALF_LIVES = 10.0
_BEFORE_INJECTION_S = 600.0  # a dynamic scan begins before the injection
_CLOCK_S = 1.0
_MOST_APART = 1.01  # factors of the slices of one volume, rounding of times included

_date = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)").match
_time = re.compile(r"(\d\d):?(\d\d)?:?(\d\d)?(\.\d+)?").match
_unit = re.compile(r"[A-Z0-9]{1,16}").fullmatch


class _UnknownError(Exception):
    """Why there is no factor, in words."""


def uptake_attributes(dataset: Dataset, mapped_unit: str = "") -> dict[str, str]:
    """``units``, and for each of :data:`KINDS` the factor that rescaled values are multiplied by, or why there is none.

    Args:
        dataset: A file of modality PT.
        mapped_unit: The unit that an enhanced object gives its values elsewhere.
    """
    units = t.text(dataset, "Units").upper() or mapped_unit
    attributes = {"units": units} if _unit(units) else {}
    for attribute, wanted in KINDS.items():
        try:
            attributes[attribute] = f"{_factor(dataset, attributes.get('units', ''), wanted):.9g}"
        except _UnknownError as why:
            attributes[attribute] = str(why)
        except (ArithmeticError, ValueError):  # dates and numbers beyond all bounds
            attributes[attribute] = "a number or time in the header makes no sense"
    return attributes


def factor(attribute: str) -> float | None:
    """The number of a fact; ``None`` where it is words."""
    try:
        return float(attribute)
    except ValueError:
        return None


def agreed(slices: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The attributes of :data:`KINDS` for a volume from those of its slices: the median factor, or the first reason.

    Slices without a rescale give no attributes.
    """
    found = list(slices)
    attributes = {}
    for name in KINDS:
        said = [one.get(name, f"{_named('RescaleSlope')} is missing") for one in found]
        factors = [number for number in map(factor, said) if number is not None]
        if len(factors) < len(said):
            attributes[name] = next(words for words in said if factor(words) is None)
        elif max(factors) > min(factors) * _MOST_APART:
            attributes[name] = "dose, weight or times differ from slice to slice"
        else:
            attributes[name] = f"{statistics.median(factors):.9g}"
    return attributes


def _factor(dataset: Dataset, units: str, wanted: str) -> float:
    if units == "GML":  # in SUV already; of body weight, where it is not said of what
        given = t.text(dataset, "SUVType").upper() or "BW"
        return 1.0 if given == wanted else _mass(dataset, wanted) / _mass(dataset, given)
    return _body_weight_factor(dataset, units) * (1.0 if wanted == "BW" else _mass(dataset, wanted) / _weight(dataset))


def _body_weight_factor(dataset: Dataset, units: str) -> float:
    if units not in ("BQML", "CNTS"):
        raise _UnknownError(f"{_named('Units')} is {units}" if units else f"{_named('Units')} is missing or unknown")
    _check_corrections(dataset)
    becquerel = 1.0
    if units == "CNTS":
        suv, becquerel = (_private_number(dataset, one) for one in (_SUV_SCALE, _ACTIVITY_SCALE))
        if suv > 0:
            return suv
        if becquerel <= 0:
            raise _UnknownError(
                f"{_named('Units')} is CNTS, and Philips' factors (7053,xx00) and (7053,xx09) are missing"
            )
    return becquerel * _weight(dataset) * 1000 / _decayed_dose(dataset)


def _check_corrections(dataset: Dataset) -> None:
    corrected = t.words(dataset, "CorrectedImage")
    attenuation = "ATTN" in corrected or t.text(dataset, "AttenuationCorrected").upper() == "YES"
    decay = {"DECY", "DECAY"} & set(corrected) or t.text(dataset, "DecayCorrected").upper() == "YES"
    if not attenuation or not decay:
        what = "attenuation" if not attenuation else "decay"
        raise _UnknownError(f"{_named('CorrectedImage')} does not say that {what} was corrected for")


def _mass(dataset: Dataset, kind: str) -> float:
    """The body mass, kg, that SUV of a kind goes by."""
    if kind == "BW":
        return _weight(dataset)
    if kind not in ("LBMJANMA", "LBMJAMES128"):
        raise _UnknownError(f"{_named('SUVType')} is {kind if _unit(kind) else 'unknown'}")
    weight, size, sex = _weight(dataset), _needed(dataset, "PatientSize", 0.2, 2.7), t.text(dataset, "PatientSex")
    if sex.upper() not in ("M", "F"):
        raise _UnknownError(f"{_named('PatientSex')} is neither M nor F, which lean body mass goes by")
    man = sex.upper() == "M"
    if kind == "LBMJAMES128":  # James, Research on Obesity, 1976; height in cm
        return weight * (1.10 if man else 1.07) - (128 if man else 148) * (weight / (100 * size)) ** 2
    index = weight / size**2
    return 9270 * weight / (6680 + 216 * index if man else 8780 + 244 * index)


def _weight(dataset: Dataset) -> float:
    return _needed(dataset, "PatientWeight", 0.005, 700)


def _decayed_dose(dataset: Dataset) -> float:
    """Becquerel that were left of the injected dose at the time to which values are corrected."""
    items = t.items(dataset, "RadiopharmaceuticalInformationSequence")
    if len(items) != 1:
        lacks = "is missing" if not items else f"names {len(items)} tracers"
        raise _UnknownError(f"{_named('RadiopharmaceuticalInformationSequence')} {lacks}")
    dose = _needed(items[0], "RadionuclideTotalDose", 1e5, 1e11)  # what is less was written in MBq
    correction = t.text(dataset, "DecayCorrection").upper()
    if correction == "ADMIN":
        return dose
    half_life = _needed(items[0], "RadionuclideHalfLife", 1, 1e9)
    reference = t.text(dataset, "DecayCorrectionDateTime")
    if reference:
        after = _since_injection(_date_time(reference), items[0], half_life)
    elif correction == "START":
        after = _until_start(dataset, items[0], half_life)
    else:
        raise _UnknownError(f"{_named('DecayCorrection')} is neither START nor ADMIN")
    if not -_BEFORE_INJECTION_S <= after <= _MOST_HALF_LIVES * half_life:
        raise _UnknownError(f"the header has the scan begin {after / 3600:.1f} hours after the injection")
    return float(dose * 2 ** (-after / half_life))


def _until_start(dataset: Dataset, tracer: Dataset, half_life: float) -> float:
    """Seconds from the injection to the start of the scan.

    That is the time of the series, unless it was written later by post-processing, or before the injection: then what GE says
    is, or what the frame's own times lead back to.
    """
    day = t.text(dataset, "SeriesDate") or t.text(dataset, "StudyDate")
    series = _moment(day, t.text(dataset, "SeriesTime"))
    acquired = _moment(t.text(dataset, "AcquisitionDate") or day, t.text(dataset, "AcquisitionTime"))
    if acquired is None:
        raise _UnknownError(f"{_named('AcquisitionTime')} is missing")
    doubt = f"{_named('SeriesTime')} is missing"
    if series is not None:
        after = _since_injection(series, tracer, half_life)
        if after >= 0 and series <= acquired + timedelta(seconds=_CLOCK_S):
            return after
        doubt = f"{_named('SeriesTime')} is {'before the injection' if after < 0 else 'behind the acquisition'}"
    start = _date_time(_private(dataset, _GE, _SCAN_START))
    reference, duration = (t.number(dataset, name) or 0 for name in ("FrameReferenceTime", "ActualFrameDuration"))
    if start is None and reference > 0 and duration > 0:
        decay = math.log(2) / half_life * duration / 1000
        average = duration / 1000 / decay * math.log(decay / -math.expm1(-decay))  # when the rate was the frame's mean
        start = acquired + timedelta(seconds=average - reference / 1000)
    if start is None:
        missing = _named("FrameReferenceTime" if reference <= 0 else "ActualFrameDuration")
        raise _UnknownError(f"{doubt}, and {missing} is missing")
    return _since_injection(start, tracer, half_life)


def _since_injection(moment: datetime | None, tracer: Dataset, half_life: float) -> float:
    if moment is None:
        raise _UnknownError("a date or time in the header is none")
    injected = _date_time(t.text(tracer, "RadiopharmaceuticalStartDateTime"))
    dated = injected is not None
    if injected is None:
        injected = _moment(f"{moment:%Y%m%d}", t.text(tracer, "RadiopharmaceuticalStartTime"))
    if injected is None or (not dated and half_life > _WITHIN_A_DAY_S):
        which = "RadiopharmaceuticalStartTime" if half_life <= _WITHIN_A_DAY_S else "RadiopharmaceuticalStartDateTime"
        raise _UnknownError(f"{_named(which)} is missing")
    if injected == moment and moment.time() == datetime.min.time():
        raise _UnknownError("the times in the header were blanked")
    seconds = (moment - injected).total_seconds()
    # Without a date, the injection is the one nearest in time: midnight may be between.
    return seconds if dated else (seconds + 43200) % 86400 - 43200


def _date_time(written: str) -> datetime | None:
    """A value of VR DT (PS3.5 6.2), in local time."""
    return _moment(written[:8], written[8:])


def _moment(day: str, clock: str) -> datetime | None:
    """Date and time of VR DA and TM, the older spellings included; ``None`` where one of them is none."""
    date, time = _date(day), _time(clock)
    if date is None or time is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in time.groups()[:3])
    try:
        start = datetime(int(date[1]), int(date[2]), int(date[3]))
    except ValueError:
        return None
    return start + timedelta(hours=hours, minutes=minutes, seconds=seconds + float(time[4] or 0))


def _private_number(dataset: Dataset, element: int) -> float:
    found = factor(_private(dataset, _PHILIPS, element)) or 0.0
    return found if math.isfinite(found) else 0.0


def _private(dataset: Dataset, owner: tuple[int, str], element: int) -> str:
    """A private element in the block of its owner (PS3.5 7.8.1); empty without one."""
    group, creator = owner
    for block in _BLOCKS:
        if t.text(dataset, group << 16 | block).upper() == creator:
            return t.text(dataset, group << 16 | block << 8 | element)
    return ""


def _needed(attributes: Dataset, keyword: str, low: float, high: float) -> float:
    number = t.number(attributes, keyword)
    if number is None or not low <= number <= high:
        raise _UnknownError(f"{_named(keyword)} is {'missing' if not number else 'no such measure'}")
    return number


def _named(keyword: str) -> str:
    from pydicom.datadict import tag_for_keyword

    tag: Any = tag_for_keyword(keyword)
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
