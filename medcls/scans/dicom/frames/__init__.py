"""From a DICOM file to its frames: headers, geometry, and the kinds of objects that hold many frames."""
