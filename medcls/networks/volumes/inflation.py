"""2-D networks as 3-D ones with the same weights: inflated convolutions, and axial, coronal and sagittal ones.

* ``i3d``: Carreira and Zisserman, 'Quo Vadis, Action Recognition?' (CVPR 2017), section 3.1: each kernel is repeated along the
  third axis and divided by its depth, and poolings and strides go along it too. What is added at the ends of the third axis
  are copies of the end slices, so that a volume that is constant along it has the features of its slice.
* ``acs``: Yang et al., 'Reinventing 2D Convolutions for 3D Images' (IEEE J-BHI 2021), section 3.2: the output channels are
  parted in three, whose kernels lie in the axial, coronal and sagittal plane and are 1 thick. There are no more weights than
  in 2-D. Of grouped convolutions the groups are parted.

Rows of a picture become the x axis, columns the y axis.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.errors import ConfigError

Inflation = Literal["i3d", "acs"]
_PLANES = (2, 1, 0)  # the axis across the axial, the coronal and the sagittal plane
_ALIKE = {nn.BatchNorm2d: nn.BatchNorm3d, nn.Dropout2d: nn.Dropout3d}


def inflate_kernel(kernel: Tensor, depth: int) -> Tensor:
    """From ``(out, in, rows, columns)`` to ``(out, in, rows, columns, depth)``, which adds up to the same."""
    return kernel[..., None].repeat(1, 1, 1, 1, depth) / depth


class InflatedConvolution(nn.Conv3d):
    """A 2-D convolution as ``i3d`` has it.

    Args:
        flat: The convolution.
    """

    def __init__(self, flat: nn.Conv2d) -> None:
        depth = min(flat.kernel_size)
        padding = _pair(flat.padding)
        super().__init__(
            flat.in_channels,
            flat.out_channels,
            (*_pair(flat.kernel_size), depth),
            stride=(*_pair(flat.stride), min(flat.stride)),
            padding=(*padding, 0),
            dilation=(*_pair(flat.dilation), min(flat.dilation)),
            groups=flat.groups,
            bias=flat.bias is not None,
        )
        self.ends = min(padding)
        self.load_state_dict(flat.state_dict() | {"weight": inflate_kernel(flat.weight.detach(), depth)})

    def forward(self, images: Tensor) -> Tensor:
        """From ``(B, in, x, y, z)`` to ``(B, out, *cells)``."""
        return super().forward(_extended(images, self.ends))


class PlanarConvolution(nn.Conv2d):
    """A 2-D convolution as ``acs`` has it: its weights are those of the 2-D one.

    Args:
        flat: The convolution.
    """

    def __init__(self, flat: nn.Conv2d) -> None:
        super().__init__(
            flat.in_channels,
            flat.out_channels,
            flat.kernel_size,  # type: ignore[arg-type]
            stride=flat.stride,  # type: ignore[arg-type]
            padding=_pair(flat.padding),
            dilation=flat.dilation,  # type: ignore[arg-type]
            groups=flat.groups,
            bias=flat.bias is not None,
        )
        self.load_state_dict(flat.state_dict())

    def forward(self, images: Tensor) -> Tensor:
        """From ``(B, in, x, y, z)`` to ``(B, out, *cells)``."""
        weights = self.weight.tensor_split(3) if self.groups == 1 else self._by_groups()
        inputs = [images] * 3 if self.groups == 1 else images.tensor_split(_ends(self.groups, self.in_channels), dim=1)
        parts = [
            self._in_plane(given, weight, across)
            for given, weight, across in zip(inputs, weights, _PLANES, strict=True)
            if len(weight)
        ]
        found = torch.cat(parts, dim=1)
        return found if self.bias is None else found + self.bias.view(-1, 1, 1, 1)

    def _by_groups(self) -> tuple[Tensor, ...]:
        return self.weight.tensor_split(_ends(self.groups, self.out_channels))

    def _in_plane(self, images: Tensor, weight: Tensor, across: int) -> Tensor:
        """With kernels in one plane, and across it the cells that the middle of a kernel would be on."""
        kernel, stride, padding, dilation = (
            min(_pair(one)) for one in (self.kernel_size, self.stride, self.padding, self.dilation)
        )
        first = dilation * ((kernel - 1) // 2) - padding
        count = (images.shape[2 + across] + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        if first < 0:
            images = functional.pad(images, _along(across, -first))
        return functional.conv3d(
            images.narrow(2 + across, max(first, 0), (count - 1) * stride + 1),
            weight.unsqueeze(2 + across),
            stride=_with(self.stride, across, stride),
            padding=_with(_pair(self.padding), across, 0),
            dilation=_with(self.dilation, across, 1),
            groups=images.shape[1] // weight.shape[1],
        )


class InflatedAverage(nn.AvgPool3d):
    """A mean over windows, with copies of the end slices in place of padding along the third axis."""

    def __init__(self, flat: nn.AvgPool2d) -> None:
        kernel, stride, padding = (_pair(one) for one in (flat.kernel_size, flat.stride, flat.padding))
        super().__init__(
            (*kernel, min(kernel)),
            (*stride, min(stride)),
            (*padding, 0),
            flat.ceil_mode,
            flat.count_include_pad,
        )
        self.ends = min(padding)

    def forward(self, images: Tensor) -> Tensor:
        """From ``(B, K, x, y, z)`` to ``(B, K, *cells)``."""
        return super().forward(_extended(images, self.ends))


def inflate(network: nn.Module, kind: Inflation, channels: int, size: int) -> None:
    """Make a 2-D network a 3-D one, in place; the names of its tensors stay.

    Args:
        network: From ``(B, C, rows, columns)`` to a feature map, of torch's convolutions, batch norms and poolings.
        kind: How.
        channels: ``C``.
        size: Voxels along an axis that it can take, to try it with.

    Raises:
        ConfigError: It has other layers over two axes, or layers over three.
    """
    for name, layer in list(network.named_modules()):
        made = _inflated(layer, kind)
        if made is not None:
            network.set_submodule(name, made)
    try:
        with torch.no_grad():
            found = _on_meta(network)(torch.zeros(1, channels, size, size, size, device="meta"))
    except (RuntimeError, ValueError, TypeError, IndexError):
        raise _refused("its layers cannot take volumes") from None
    if not isinstance(found, Tensor) or found.ndim != 5:
        raise _refused("it gives no map of features")


def _inflated(layer: nn.Module, kind: Inflation) -> nn.Module | None:
    """The layer that takes the place of one; ``None``: it stays."""
    if type(layer) is nn.Conv2d:
        return InflatedConvolution(layer) if kind == "i3d" else PlanarConvolution(layer)
    if type(layer) in _ALIKE:
        return _copied(layer, _ALIKE[type(layer)])
    if type(layer) is nn.MaxPool2d:
        given = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        kernel, stride, padding, dilation = ((*_pair(one), min(_pair(one))) for one in given)
        return nn.MaxPool3d(kernel, stride, padding, dilation, ceil_mode=layer.ceil_mode)
    if type(layer) is nn.AvgPool2d:
        return InflatedAverage(layer)
    if type(layer) is nn.AdaptiveAvgPool2d and layer.output_size in (1, (1, 1)):
        return nn.AdaptiveAvgPool3d(1)
    called = layer._get_name()  # type: ignore[no-untyped-call]
    if called.endswith(("2d", "3d")):
        raise _refused(f"it has a layer {called}")
    return None


def _copied(layer: Any, kind: type[nn.Module]) -> nn.Module:
    """A layer without weights over axes as its sibling over three; its tensors are the same."""
    if not isinstance(layer, nn.BatchNorm2d):
        return kind(layer.p, layer.inplace)
    made = kind(
        layer.num_features,
        layer.eps,
        layer.momentum,
        affine=layer.affine,
        track_running_stats=layer.track_running_stats,
    )
    made.load_state_dict(layer.state_dict())
    return made


def _on_meta(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to("meta").eval()


def _extended(images: Tensor, ends: int) -> Tensor:
    """With so many copies of the first and of the last slice along the third axis."""
    return functional.pad(images, (ends, ends, 0, 0, 0, 0), mode="replicate") if ends else images


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        raise _refused(f"its padding is '{value}'")
    return (value, value) if isinstance(value, int) else tuple(value)


def _with(pair: Any, axis: int, value: int) -> list[int]:
    """Numbers of the axes of a plane, with that of the axis across it."""
    return [*pair[:axis], value, *pair[axis:]]


def _along(axis: int, cells: int) -> list[int]:
    """As ``functional.pad`` takes it, on both sides of an axis."""
    return [cells if of == axis else 0 for of in (2, 1, 0) for _side in range(2)]


def _ends(groups: int, channels: int) -> tuple[int, int]:
    """Where the second and the third part of the groups begin among the channels."""
    first = -(-groups // 3)
    second = first + -(-(groups - first) // 2)
    return first * (channels // groups), second * (channels // groups)


def _refused(why: str) -> ConfigError:
    return ConfigError(
        f"this network cannot be made 3-D from a 2-D one: {why}",
        where="model.inflate",
        remedy="Leave it out, or choose another network: those of convolutions, batch norms and poolings can",
    )
