"""Which DICOM objects are scans: by SOP class (PS3.4 B.5), modality and image type."""

from __future__ import annotations

from pathlib import Path

from medcls.errors import ScanRefused
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.parse import text as t

_STORAGE = "1.2.840.10008.5.1.4.1.1."

_NOT_IMAGES = tuple(
    _STORAGE + end
    for end in (
        "4.2",  # MR spectroscopy
        "9.",  # waveforms
        "11.",  # presentation states
        "30",  # parametric map
        "66",  # raw data, registration, fiducials, segmentation, surfaces
        "67",  # real world value mapping
        "68.",  # surface scans, tractography
        "78.",  # ophthalmic measurements
        "79.",
        "80.",
        "88.",  # structured reports, key objects
        "90.",
        "104.",  # encapsulated documents
        "131",
        "481.2",  # dose
        "481.3",  # structure set
        "481.4",
        "481.5",  # plan
        "481.6",
        "481.7",
        "481.8",
        "481.9",
    )
)
_NOT_IMAGE_MODALITIES = frozenset(
    {
        "SR",
        "PR",
        "KO",
        "REG",
        "FID",
        "SEG",
        "SMR",
        "RWV",
        "DOC",
        "OSS",
        "RTSTRUCT",
        "RTPLAN",
        "RTDOSE",
        "RTRECORD",
        "AU",
        "ECG",
        "HD",
        "PLAN",
        "M3D",
        "STAIN",
        "ASMT",
    }
)
_SHEETS = frozenset({"DOSE", "DOSE_INFO", "DOSE REPORT", "SCREEN SAVE", "REPORT", "PROTOCOL"})

_PROJECTIONS = tuple(
    _STORAGE + end
    for end in (
        "1",  # CR
        "1.1",  # DX
        "1.1.1",
        "1.2",  # MG
        "1.2.1",
        "1.3",
        "1.3.1",
        "12.1",  # XA
        "12.2",  # RF
        "12.3",
        "77.1.1",  # endoscopy
        "77.1.2",  # microscopy
        "77.1.4",  # photography
        "77.1.5.1",  # ophthalmic photography
        "77.1.5.2",
    )
)
_PROJECTION_MODALITIES = frozenset({"CR", "DX", "MG", "XA", "RF", "IO", "PX", "RG", "DR", "ES", "XC", "GM", "OP", "SM"})
_XRAY_PROJECTIONS = frozenset({"CR", "DX", "MG", "XA", "RF", "IO", "PX", "RG", "DR"})
_WHOLE_SLIDE = _STORAGE + "77.1.6"


def check_is_image(dataset: t.Attributes, path: str | Path) -> None:
    """Refuse objects that hold no scan.

    Raises:
        ScanRefused: ``not-an-image``, ``localizer`` or ``unsupported``.
    """
    sop_class, modality = t.text(dataset, "SOPClassUID"), t.text(dataset, "Modality").upper()
    if sop_class.startswith(_NOT_IMAGES) or modality in _NOT_IMAGE_MODALITIES:
        raise _no_image(sop_class, modality, path)
    if not t.whole(dataset, "Rows") or not t.whole(dataset, "Columns"):
        raise _without_size(sop_class, modality, path)
    if sop_class == _WHOLE_SLIDE:
        remedy = "Save the region that you need as a picture"
        raise refusal(RefusalCode.UNSUPPORTED, "this is a tiled whole-slide image", where=path, remedy=remedy)
    image_type = t.words(dataset, "ImageType")
    if "LOCALIZER" in image_type and modality not in _PROJECTION_MODALITIES:
        raise refusal(RefusalCode.LOCALIZER, "the image type is LOCALIZER", where=path)
    if _SHEETS.intersection(image_type) or any(part.endswith(" PROT") for part in image_type):
        raise refusal(RefusalCode.NOT_AN_IMAGE, "this is a dose sheet, protocol or screen shot", where=path)


def _without_size(sop_class: str, modality: str, path: str | Path) -> ScanRefused:
    """Objects without rows and columns: damaged where their class says that they are images, else none."""
    if " Image Storage" in f"{_uid_name(sop_class)} ":
        return refusal(RefusalCode.DAMAGED, "the header says image, but gives no rows and columns", where=path)
    return _no_image(sop_class, modality, path)


def without_pixels(dataset: t.Attributes, creator: str, path: str | Path) -> ScanRefused:
    """The refusal of a file that has no pixel data.

    Args:
        dataset: Its header.
        creator: Who wrote large private elements into it (PS3.5 7.8.1); empty without them.
        path: The file.
    """
    try:
        check_is_image(dataset, path)
    except ScanRefused as error:
        return error
    if creator:
        what = f"the pixels are kept in private elements of {creator}"
        remedy = "Export the images from the scanner or PACS as standard DICOM"
        return refusal(RefusalCode.UNSUPPORTED, what, where=path, remedy=remedy)
    return refusal(RefusalCode.DAMAGED, "the header of an image, without its pixels", where=path)


def is_projection(sop_class: str, modality: str) -> bool:
    """Whether images of this kind stand alone (projections, photographs), so that they are never stacked."""
    return sop_class in _PROJECTIONS or modality in _PROJECTION_MODALITIES


def is_xray_projection(modality: str) -> bool:
    """Whether MONOCHROME1 means a film-like display whose grey scale is to be turned round."""
    return modality in _XRAY_PROJECTIONS


def _no_image(sop_class: str, modality: str, path: str | Path) -> ScanRefused:
    name = _uid_name(sop_class).removesuffix(" Storage") or (modality if modality in _NOT_IMAGE_MODALITIES else "")
    what = "a DICOM object without an image" + (f": {name}" if name else "")
    return refusal(RefusalCode.NOT_AN_IMAGE, what, where=path)


def _uid_name(uid: str) -> str:
    """The name of a UID (PS3.6 annex A); empty where it has none."""
    from pydicom.uid import UID

    name = UID(uid).name if uid else ""
    return name if name != uid else ""
