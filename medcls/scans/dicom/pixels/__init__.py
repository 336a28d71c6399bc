"""From the pixel data of a DICOM file to stored values."""
