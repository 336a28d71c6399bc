"""The methods, each from a network and its images to maps of what argued for a label: one file, one method, one signature."""

from collections.abc import Mapping

from medcls.explanation.methods.grad_cam import grad_cam
from medcls.explanation.methods.grad_cam_plus_plus import grad_cam_plus_plus
from medcls.explanation.methods.hires_cam import hires_cam
from medcls.explanation.methods.integrated_gradients import integrated_gradients
from medcls.explanation.methods.kernel_shap import kernel_shap
from medcls.explanation.methods.layer_cam import layer_cam
from medcls.explanation.methods.lime import lime
from medcls.explanation.methods.occlusion import occlusion
from medcls.explanation.methods.question import Attribution, Method
from medcls.explanation.methods.score_cam import score_cam
from medcls.explanation.methods.smooth_grad import smooth_grad
from medcls.values.map_methods import MapMethodName

__all__ = ["METHODS", "Attribution", "Method"]

METHODS: Mapping[MapMethodName, Method] = {
    "grad-cam": grad_cam,
    "grad-cam++": grad_cam_plus_plus,
    "hirescam": hires_cam,
    "layercam": layer_cam,
    "score-cam": score_cam,
    "integrated-gradients": integrated_gradients,
    "smoothgrad": smooth_grad,
    "occlusion": occlusion,
    "lime": lime,
    "kernel-shap": kernel_shap,
}
"""By name; what they are called in titles, and what their maps show, is in :data:`medcls.values.map_methods.MAP_METHODS`."""
