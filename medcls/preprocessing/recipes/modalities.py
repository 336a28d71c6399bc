"""Which modalities belong to which kind of recipe (DICOM PS3.3 C.7.3.1.1.1)."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.config.settings import Kind

_KINDS: Mapping[str, Kind] = {
    "CT": "ct",
    "MR": "mr",
    **dict.fromkeys(("CR", "DX", "RG", "RF", "MG", "XA", "PX", "IO"), "xray"),
    **dict.fromkeys(("ES", "XC"), "endoscopy"),
    **dict.fromkeys(("PT", "NM", "US", "IVUS", "OCT", "OPT", "OP", "SM"), "other"),
}


def contradicts(modality: str, kind: Kind) -> bool:
    """Whether a scan's modality is known to be of another kind than the recipe's.

    Modalities that say nothing (``OT`` of NIfTI files and pictures, ``SC``) contradict nothing, and a recipe for ``other``
    takes everything.
    """
    own = _KINDS.get(modality)
    return kind != "other" and own is not None and own != kind
