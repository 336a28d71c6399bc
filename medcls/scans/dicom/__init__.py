"""DICOM: headers, frames, series, geometry and pixels. Section numbers are those of the DICOM standard (PS3)."""
