"""Formats other than DICOM, one to a module."""
