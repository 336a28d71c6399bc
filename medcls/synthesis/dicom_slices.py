"""DICOM slices: write a series whose files differ in a few elements only.

What the slices share is encoded once by pydicom and copied from file to file, which writes a series several times faster
than encoding every element of every slice.
"""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.uid import UID

from medcls.synthesis.dicom_attributes import set_file_meta

_PREAMBLE = b"\0" * 128 + b"DICM"


class SliceWriter:
    """Writes the slices of one series.

    Args:
        shared: What all slices have in common; little endian, native pixels, no element whose type depends on another.
        transfer_syntax: How to encode.
    """

    def __init__(self, shared: Dataset, transfer_syntax: UID) -> None:
        self._syntax = transfer_syntax
        self._sop_class = shared.SOPClassUID
        self._shared = _encode(shared, transfer_syntax)

    def write(self, path: Path, own: Dataset, instance: UID) -> None:
        """Write one slice.

        Args:
            path: The file.
            own: The elements that are this slice's own, without SOPClassUID and SOPInstanceUID.
            instance: Its SOPInstanceUID.
        """
        own.SOPClassUID = self._sop_class
        set_file_meta(own, instance, self._syntax)
        elements = self._shared | _encode(own, self._syntax)
        head = DicomBytesIO()
        head.write(_PREAMBLE)
        write_file_meta_info(head, own.file_meta)
        path.write_bytes(head.getvalue() + b"".join(elements[tag] for tag in sorted(elements)))


def _encode(dataset: Dataset, transfer_syntax: UID) -> dict[int, bytes]:
    encoded = {}
    for element in dataset:
        buffer = DicomBytesIO()
        buffer.is_little_endian = True
        buffer.is_implicit_VR = transfer_syntax.is_implicit_VR
        write_data_element(buffer, element, dataset.get("SpecificCharacterSet", "ISO_IR 192"))
        encoded[int(element.tag)] = buffer.getvalue()
    return encoded
