"""What is said of a scan that was read: what was done to it, and what is doubtful, each under a code.

This table is the only place where these codes are made up; the documentation takes them from here.
"""

from __future__ import annotations

from enum import StrEnum

from medcls.scans.core.refusals import Cause


class Note(StrEnum):
    """Short, stable names; a note is ``code: words``."""

    COPIES = "copies"
    GAP = "gap"
    INCOMPLETE = "incomplete"
    UNEVEN = "uneven-spacing"
    TILTED = "tilted"
    PADDING = "padding"
    INVERTED = "inverted"
    PIXEL_UNITS = "pixel-units"
    BROKEN_FILES = "broken-files"
    PART = "part"
    SAME_INSTANCE = "same-instance"
    NOT_HOUNSFIELD = "not-hounsfield"
    BURNED_IN = "burned-in"
    FORMS_DIFFER = "forms-differ"
    SIDE_UNKNOWN = "side-unknown"
    CONVERTED_UNIT = "converted-unit"
    NO_ORIGIN = "no-origin"
    REPLACED_VALUES = "replaced-values"
    ALPHA = "alpha"
    TURNED = "turned"
    CONVERTED_COLOUR = "converted-colour"
    CHANGES = "changes-within"
    HALF_RESCALE = "half-rescale"
    UNUSED_TABLE = "unused-table"
    PET_UNITS = "pet-units"
    PRESENTATION = "presentation"
    MIRRORED = "mirrored"
    NO_CONTRAST = "no-contrast"
    NEARLY_BLANK = "nearly-blank"
    FRAME_TIMES = "frame-times"
    NOT_SQUARE = "not-square"
    SOME_FRAMES = "some-frames"
    TRAINED_ON = "trained-on"

    def says(self, words: str) -> str:
        """The note in these words."""
        return f"{self.value}: {words}"


def note_code(note: str) -> str:
    """What a note is about: its code, or all of it up to a colon."""
    return note.partition(": ")[0]


MEANINGS: dict[Note, Cause] = {
    Note.COPIES: Cause(
        "Slices at one position are the same, voxel for voxel; one of each was kept (`on_duplicates: warn`).",
        "Nothing, or export the series again",
    ),
    Note.GAP: Cause(
        "Slices are missing; a neighbour was repeated (`on_gap: warn`) or both mixed (`on_gap: resample`).",
        "Export the whole series if it exists",
    ),
    Note.INCOMPLETE: Cause(
        "The header says that there are more images than were found, or their numbers do not begin at 1 (`on_part: warn`); or "
        "a file holds pixels of more frames than its header counts, which were not read.",
        "Export the whole series if it exists, or the file again",
    ),
    Note.UNEVEN: Cause(
        "Slices are at uneven distances; the affine has their mean (`on_uneven: warn`), or an even grid was interpolated "
        "(`resample`).",
        "Measure nothing across slices after `warn`",
    ),
    Note.TILTED: Cause(
        "The gantry was tilted; the affine is sheared (`on_tilt: warn`), or the slices were shifted (`resample`).",
        "Let later steps use the affine after `warn`",
    ),
    Note.PADDING: Cause(
        "Voxels outside the field of view held a padding value; in CT they were set to air.", "Nothing"
    ),
    Note.INVERTED: Cause("Low values were bright; the grey scale was turned round.", "Nothing"),
    Note.PIXEL_UNITS: Cause(
        "The file does not say how large a pixel is, or not how large in the patient.",
        "Compare no sizes between such images",
    ),
    Note.BROKEN_FILES: Cause(
        "Files that cannot be read are beside the series; they may be slices that are missing at its ends.",
        "Export the series again, or remove files that are none of it",
    ),
    Note.PART: Cause(
        "The series holds several volumes (echoes, b-values, times); this is one.", "Choose the volume that you want"
    ),
    Note.SAME_INSTANCE: Cause(
        "Several slices carry the same SOPInstanceUID.", "Mend the export; the slices are all there"
    ),
    Note.NOT_HOUNSFIELD: Cause(
        "The header gives CT values another unit than HU, or no rescale at all; a window is set where they look like HU.",
        "Check the export before windowing",
    ),
    Note.BURNED_IN: Cause(
        "The header says that annotations are burned into the pixels.", "Look whether they name a patient, or a finding"
    ),
    Note.FORMS_DIFFER: Cause(
        "The sform and the qform of a NIfTI file differ; the sform was taken.", "Check left and right"
    ),
    Note.SIDE_UNKNOWN: Cause(
        "Voxel sizes are known, or not even these, but not which side is left.", "Trust no side; convert the scan again"
    ),
    Note.CONVERTED_UNIT: Cause("Positions were not in millimetres and were converted.", "Nothing"),
    Note.NO_ORIGIN: Cause(
        "The header gives no origin; the first voxel was put there.", "Compare no positions between scans"
    ),
    Note.REPLACED_VALUES: Cause(
        "Voxels without a finite value were set to the nearest end of the range.", "Check what made them"
    ),
    Note.ALPHA: Cause("Transparency or samples beyond colour were dropped, or laid on black.", "Nothing"),
    Note.TURNED: Cause("The picture was turned upright by its orientation tag.", "Nothing"),
    Note.CONVERTED_COLOUR: Cause("The picture was converted to RGB from another colour space.", "Nothing"),
    Note.CHANGES: Cause(
        "The parts of a volume, one after the other, were taken or computed in different ways (kernel, voltage, image type); "
        "or its slices have two image comments in turn, as two volumes would, and make one even grid.",
        "Look whether they may be compared, and are of one volume",
    ),
    Note.HALF_RESCALE: Cause(
        "The header gives only one of rescale slope and intercept; 1 or 0 was taken for the other, as most readers do.",
        "Check the values, and the export",
    ),
    Note.UNUSED_TABLE: Cause(
        "The header of an XA or XRF image has a table or rescale that leads back to X-ray intensity, or that of a NRRD file "
        "the range before its values were quantised (`old min`, `old max`); values are as stored.",
        "Nothing; compare no values of quantised files, as each may have a range of its own",
    ),
    Note.PET_UNITS: Cause(
        "PET values are not in SUV: they stay in the unit of the file, which depends on dose and scanner, or the "
        "header lacks what the note names.",
        "Set `preprocessing.pet` to suv-bw (or suv-lbm) to compare patients; export the series with what is missing",
    ),
    Note.PRESENTATION: Cause(
        "What a reader sees is not what is stored, or the header contradicts itself: greys shown inverted by `MONOCHROME1` or "
        "`PresentationLUTShape`, raw values of the detector that are not meant to be looked at (`FOR PROCESSING`), labels or a "
        "statistic in place of a picture (the intent of a NIfTI file).",
        "Give images of one kind, `FOR PRESENTATION` where there are both",
    ),
    Note.NO_CONTRAST: Cause(
        "Every voxel of the scan has the same value. It is read, and refused when it is prepared.",
        "Export or convert it again",
    ),
    Note.NEARLY_BLANK: Cause(
        "More than 99.9 % of the prepared voxels have one value.",
        "Look at the scan; check its units and the recipe's window",
    ),
    Note.MIRRORED: Cause(
        "By the header (`PatientOrientation`) the picture is mirrored, upside down or across; it was not turned.",
        "Turn it, or train on pictures of one orientation",
    ),
    Note.FRAME_TIMES: Cause(
        "The header of a sequence does not say when its frames were taken; even distances in time were assumed.",
        "Nothing, unless frames were taken at uneven times",
    ),
    Note.NOT_SQUARE: Cause(
        "By the file the pixels of a picture are higher than wide, or wider than high; 2-D recipes bring them to squares. "
        "Resolutions of JPEG files are often made up and count as equal.",
        "Nothing, or correct the file where that is not so",
    ),
    Note.SOME_FRAMES: Cause(
        "Of a sequence some frames were read, evenly spread in time; the others were not looked at.",
        "Raise `preprocessing.frames` where findings are short",
    ),
    Note.TRAINED_ON: Cause(
        "The classifier was trained or tuned on this very image. `medcls infer` and `medcls.load` know it from the run that "
        "the classifier is in; a classifier that was copied out of its run keeps no list of images, and nothing is said.",
        "Do not evaluate the classifier on this scan",
    ),
}
