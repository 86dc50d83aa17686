"""What all style networks share: a photograph in, a picture out.

Images are ``(N, 3, H, W)``, RGB in [0, 1]; the networks scale them inside. Each network is a class
in a file of its own in ``models/networks``, and has the file's name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.images.limits import SMALLEST_SIDE
from fast_style.images.tensor_checks import check_image
from fast_style.models import networks
from fast_style.system.named_classes import class_names, named_class

# px. A picture is painted with so much of its reflection around it, which is then cut off: some
# networks draw a line of a pixel or two along the border.
MARGIN = 16
# The mean colour of the photographs that VGG16 was trained on: RGB, levels of 255.
VGG_MEAN = (123.68, 116.779, 103.939)
# The networks compute with (image - MEAN) / SPREAD, where the image is in [0, 1].
MEAN = tuple(level / 255 for level in VGG_MEAN)
SPREAD = 64 / 255


class StyleNetwork(nn.Module):
    """A network from photograph to picture. A design is a subclass with a ``body``.

    The body is put together from the layers that ``operations.py`` lists, sums and concatenations.
    Then it can be trained, painted in strips, and exported, without a further line. Its parameters,
    but for ``name``, are the keys of ``configs/network/NAME.yaml``.
    """

    multiple: ClassVar[int] = 4  # px: sides are padded to multiples; 4 is for two halvings

    def body(self, x: Tensor) -> Tensor:
        """Return the painted picture; input and output are scaled as by ``normalized``.

        Args:
            x: ``(N, 3, H, W)``, H and W multiples of ``multiple``.
        """
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """Return the stylised picture.

        Args:
            image: ``(N, 3, H, W)``, floating point, in [0, 1]; H and W at least
                ``SMALLEST_SIDE``.

        Returns:
            ``(N, 3, H, W)``, about [0, 1] but not clamped; the same H and W for any input.

        Raises:
            ValueError: The image has another shape, is not floating point, or is too small.
        """
        check_image(image, SMALLEST_SIDE)
        height, width = image.shape[-2:]
        return self.padded(image)[..., :height, :width]

    def padded(self, image: Tensor) -> Tensor:
        """Return the stylised picture, its sides extended to the next multiples of ``multiple``."""
        height, width = image.shape[-2:]
        missing = (0, -width % self.multiple, 0, -height % self.multiple)
        x = F.pad(normalized(image), missing, mode="reflect")  # every halving is exact
        return denormalized(self.body(x).to(image.dtype))


def painted_inside(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Return what a network paints of pictures with ``MARGIN`` px of their reflection around them.

    The margin is then cut off: this is what is written of a picture, but for its palette.

    Args:
        network: As ``StyleNetwork``.
        image: As ``StyleNetwork.forward``'s.

    Returns:
        As ``StyleNetwork.forward``.
    """
    wide = F.pad(image, (MARGIN,) * 4, mode="reflect")
    return network(wide)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def normalized(image: Tensor) -> Tensor:
    """Return an image ``(N, 3, H, W)`` in [0, 1], scaled for the networks' convolutions."""
    # Plain numbers: a tensor of constants would be copied to a GPU at each call, and would tie an
    # exported model to the device it was made on.
    planes = zip(image.unbind(1), MEAN, strict=True)
    return torch.stack([(plane - mean) / SPREAD for plane, mean in planes], dim=1)


def denormalized(output: Tensor) -> Tensor:
    """Return the last convolution's output as an image: the reverse of ``normalized``."""
    planes = zip(output.unbind(1), MEAN, strict=True)
    return torch.stack([plane * SPREAD + mean for plane, mean in planes], dim=1)


def network_names() -> list[str]:
    """Return the names of the networks: those of the files in ``models/networks``."""
    return class_names(networks)


def network_class(name: object) -> type[StyleNetwork]:
    """Return the class of a network's name.

    Raises:
        ValueError: There is no such network.
    """
    names = network_names()
    if name not in names:
        raise ValueError(f"network.name must be {' or '.join(names)}, found {name!r}")
    return named_class(networks, name, StyleNetwork)


def build_network(description: Any) -> StyleNetwork:
    """Return a new network from plain data: ``{"name": "johnson", "channels": ..., ...}``.

    Raises:
        ValueError: Not such a description, an unknown name, or a number out of its range.
    """
    if not isinstance(description, dict) or "name" not in description:
        raise ValueError(f"a network has a name; found {description!r}")
    values = {key: value for key, value in description.items() if key != "name"}
    design = network_class(description["name"])
    keys = set(inspect.signature(design).parameters)
    if values.keys() != keys:
        raise ValueError(
            f"a network has {', '.join(sorted({'name', *keys}))}; found {description!r}"
        )
    return design(**values).float()  # even if the program's default is float64
