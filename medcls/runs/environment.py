"""What a run was made with: versions, machine kind and device, and nothing that names a person or a machine."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

_PACKAGES = ("medcls", "torch", "monai", "lightning", "pydicom", "nibabel", "numpy", "scikit-learn", "imagecodecs")


def describe_environment(device: str = "cpu", arithmetic: str = "") -> dict[str, str]:
    """Versions, device and the arithmetic of a training as name to value, in the order to show them."""
    covariates = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    covariates |= {package: _version(package) for package in _PACKAGES}
    covariates["device"] = _device_name(device)
    if "torch" in sys.modules:
        import torch

        # Which kernels compute, and over how many threads sums are spread: both decide the last bits.
        covariates["processor"] = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    if arithmetic:
        covariates["arithmetic"] = arithmetic
    return covariates


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _device_name(device: str) -> str:
    if device == "cuda" and "torch" in sys.modules:
        import torch

        return f"cuda ({torch.cuda.get_device_name()})"
    return device
