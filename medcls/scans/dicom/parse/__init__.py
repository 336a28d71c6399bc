"""The bytes of a DICOM data set as attributes: elements, tags, texts and private headers."""
