"""The attributes that medcls reads: keyword, tag and value representation (PS3.6 table 6-1).

Kept as a table of our own so that the fast path starts without loading a whole dictionary; a test holds it against
pydicom's.
"""

from __future__ import annotations

TAGS: dict[str, tuple[int, str]] = {
    # what it is (PS3.3 C.12.1, C.7.6.1, C.7.6.3)
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "Modality": (0x00080060, "CS"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "PlanarConfiguration": (0x00280006, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "PixelPaddingValue": (0x00280120, "US or SS"),
    "PixelPaddingRangeLimit": (0x00280121, "US or SS"),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "RescaleType": (0x00281054, "LO"),
    # whose and which
    "PatientID": (0x00100020, "LO"),
    "PatientName": (0x00100010, "PN"),
    "IssuerOfPatientID": (0x00100021, "LO"),
    "InstitutionName": (0x00080080, "LO"),
    "AccessionNumber": (0x00080050, "SH"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "SeriesNumber": (0x00200011, "IS"),
    "AcquisitionNumber": (0x00200012, "IS"),
    "InstanceNumber": (0x00200013, "IS"),
    # how many there should be
    "NumberOfSeriesRelatedInstances": (0x00201209, "IS"),
    "ImagesInSeries": (0x00201003, "IS"),
    "ImagesInAcquisition": (0x00201002, "IS"),
    "NumberOfTemporalPositions": (0x00200105, "IS"),
    "NumberOfSlices": (0x00540081, "US"),
    "NumberOfTimeSlices": (0x00540101, "US"),
    # where
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "PixelSpacing": (0x00280030, "DS"),
    "ImagerPixelSpacing": (0x00181164, "DS"),
    "NominalScannedPixelSpacing": (0x00182010, "DS"),
    "SliceThickness": (0x00180050, "DS"),
    "SpacingBetweenSlices": (0x00180088, "DS"),
    # which volume of several
    "EchoNumbers": (0x00180086, "IS"),
    "EchoTime": (0x00180081, "DS"),
    "TemporalPositionIdentifier": (0x00200100, "IS"),
    "TriggerTime": (0x00181060, "DS"),
    "InversionTime": (0x00180082, "DS"),
    "DiffusionBValue": (0x00189087, "FD"),
    "DiffusionGradientOrientation": (0x00189089, "FD"),
    "NominalPercentageOfCardiacPhase": (0x00209241, "FL"),
    "FlipAngle": (0x00181314, "DS"),
    "KVP": (0x00180060, "DS"),
    "ContrastBolusAgent": (0x00180010, "LO"),
    "SequenceName": (0x00180024, "SH"),
    "RepetitionTime": (0x00180080, "DS"),
    "ComplexImageComponent": (0x00089208, "CS"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "ProtocolName": (0x00181030, "LO"),
    "SeriesDescription": (0x0008103E, "LO"),
    "ScanningSequence": (0x00180020, "CS"),
    "SequenceVariant": (0x00180021, "CS"),
    "ScanOptions": (0x00180022, "CS"),
    "FilterType": (0x00181160, "SH"),
    "ReconstructionMethod": (0x00541103, "LO"),
    "ReconstructionAlgorithm": (0x00189315, "CS"),
    "ImageComments": (0x00204000, "LT"),
    "CorrectedImage": (0x00280051, "CS"),
    "AcquisitionTime": (0x00080032, "TM"),
    # attributes
    "PatientSex": (0x00100040, "CS"),
    "PatientAge": (0x00101010, "AS"),
    "Manufacturer": (0x00080070, "LO"),
    "ManufacturerModelName": (0x00081090, "LO"),
    "MagneticFieldStrength": (0x00180087, "DS"),
    "ConvolutionKernel": (0x00181210, "SH"),
    "StudyDate": (0x00080020, "DA"),
    "SeriesDate": (0x00080021, "DA"),
    "AcquisitionDate": (0x00080022, "DA"),
    "BodyPartExamined": (0x00180015, "CS"),
    "ViewPosition": (0x00185101, "CS"),
    "Laterality": (0x00200060, "CS"),
    "ImageLaterality": (0x00200062, "CS"),
    "PatientPosition": (0x00185100, "CS"),
    "BurnedInAnnotation": (0x00280301, "CS"),
    "PresentationIntentType": (0x00080068, "CS"),
    "PresentationLUTShape": (0x20500020, "CS"),
    "PatientOrientation": (0x00200020, "CS"),
    "LossyImageCompression": (0x00282110, "CS"),
    # how large pixels are (PS3.3 10.7.1)
    "PixelSpacingCalibrationType": (0x00280A02, "CS"),
    "EstimatedRadiographicMagnificationFactor": (0x00181114, "DS"),
    "DistanceSourceToDetector": (0x00181110, "DS"),
    "DistanceSourceToPatient": (0x00181111, "DS"),
    "PixelAspectRatio": (0x00280034, "IS"),
}

PRIVATE_B_VALUES = (0x0019100C, 0x00431039, 0x20011003, 0x00651009)
"""Where Siemens, GE, Philips and United Imaging write the b-value of a classic MR image."""

PRIVATE_DIRECTIONS = (0x0019100E, 0x001910BB, 0x001910BC, 0x001910BD, 0x00651037)
"""Where Siemens, GE and United Imaging write the diffusion gradient."""

CSA_IMAGE = 0x00291010
"""Siemens' CSA image header: where the b-value is when it stands nowhere else."""

TILES = 0x0019100A
"""Siemens' number of tiles in a mosaic."""

PRIVATE_CREATORS = (0x00190010, 0x00430010)

TANGLED = frozenset(
    {
        0x00283000,  # ModalityLUTSequence
        0x00186011,  # SequenceOfUltrasoundRegions
        0x52009229,  # SharedFunctionalGroupsSequence
        0x52009230,  # PerFrameFunctionalGroupsSequence
        0x00281221,  # segmented palettes
        0x00281201,  # RedPaletteColorLookupTableData
        0x7FE00001,  # ExtendedOffsetTable
        0x7FE00008,  # FloatPixelData
        0x7FE00009,  # DoubleFloatPixelData
    }
)
"""Attributes whose presence leaves a file to pydicom."""

PIXEL_DATA = 0x7FE00010

SEQUENCES = frozenset(
    {
        0x00080051,  # IssuerOfAccessionNumberSequence
        0x00081032,  # ProcedureCodeSequence
        0x00081110,  # ReferencedStudySequence
        0x00081111,  # ReferencedPerformedProcedureStepSequence
        0x00081115,  # ReferencedSeriesSequence
        0x00081120,  # ReferencedPatientSequence
        0x00081140,  # ReferencedImageSequence
        0x00081199,  # ReferencedSOPSequence
        0x00082112,  # SourceImageSequence
        0x00089215,  # DerivationCodeSequence
        0x00101002,  # OtherPatientIDsSequence
        0x00120064,  # DeidentificationMethodCodeSequence
        0x00321064,  # RequestedProcedureCodeSequence
        0x00400008,  # ScheduledProtocolCodeSequence
        0x00400260,  # PerformedProtocolCodeSequence
        0x00400275,  # RequestAttributesSequence
        0x0040A170,  # PurposeOfReferenceCodeSequence
    }
)
"""Sequences that plain files have. Where the value representation is implicit only these are known to be sequences."""
