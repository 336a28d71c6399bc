"""The steps of a recipe, each in its one place in a fixed order.

Geometry of the whole first, then noise at the scan's own resolution, then the grid, then where the patient is, then grey
values, then the final size.
Which of them a recipe uses is chosen by region and config; their order never changes.
"""

from medcls.preprocessing.steps.clahe import Clahe
from medcls.preprocessing.steps.common.step import Context, StepParameters
from medcls.preprocessing.steps.crop_border import CropBorder
from medcls.preprocessing.steps.crop_foreground import CropForeground
from medcls.preprocessing.steps.denoise_gaussian import DenoiseGaussian
from medcls.preprocessing.steps.denoise_median import DenoiseMedian
from medcls.preprocessing.steps.denoise_nlm import DenoiseNlm
from medcls.preprocessing.steps.gamma import Gamma
from medcls.preprocessing.steps.n4 import N4
from medcls.preprocessing.steps.normalise import Normalise
from medcls.preprocessing.steps.orientation import Orientation
from medcls.preprocessing.steps.percentile import Percentile
from medcls.preprocessing.steps.resize import Resize
from medcls.preprocessing.steps.scale import Scale
from medcls.preprocessing.steps.segment_foreground import SegmentForeground
from medcls.preprocessing.steps.spacing import Spacing
from medcls.preprocessing.steps.window import Window
from medcls.preprocessing.steps.zscore import ZScore

STEPS: tuple[type[StepParameters], ...] = (
    Orientation,
    CropBorder,
    DenoiseMedian,
    DenoiseGaussian,
    DenoiseNlm,
    N4,
    Spacing,
    SegmentForeground,
    CropForeground,
    Window,
    Percentile,
    ZScore,
    Scale,
    Clahe,
    Gamma,
    Resize,
    Normalise,
)

__all__ = ["STEPS", "Context", "Orientation", "Resize", "Spacing", "StepParameters"]
