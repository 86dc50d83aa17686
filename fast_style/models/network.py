"""The transformer networks, photograph in, picture out: what all of them share.

Images are ``(N, 3, H, W)``, RGB in [0, 1]; the networks' own scaling lives inside them. Each
network is a class in a file of ``models/networks``, named after it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.images.checks import SMALLEST_SIDE, check_image
from fast_style.models import networks

# px of its reflection around a picture, painted and cut off: some networks draw a line of a pixel
# or two where their picture ends.
MARGIN = 16
# The networks work on (image - MEAN) / SPREAD: VGG's training mean, and 64 of 255 levels.
MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
SPREAD = 64 / 255


class StyleNetwork(nn.Module):
    """A network from photograph to picture. A design is a subclass with a ``body``.

    The body is put together from the layers that ``operations.py`` lists, sums and concatenations.
    Then it can be trained, painted in strips, and exported, without a further line. Its parameters,
    but for ``name``, are the keys of ``configs/network/NAME.yaml``.
    """

    multiple: ClassVar[int] = 4  # px: what the sides are padded to; how often the body halves them

    def body(self, x: Tensor) -> Tensor:
        """Return the painted picture, both as ``normalized`` has them; sides are multiples.

        Args:
            x: ``(N, 3, H, W)``, H and W multiples of ``multiple``.
        """
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """Return the stylised picture.

        Args:
            image: ``(N, 3, H, W)``, floating point, in [0, 1], H and W at least 32.

        Returns:
            ``(N, 3, H, W)``, about [0, 1] but not clamped; the same H and W for any input.

        Raises:
            ValueError: The image has another shape, is not floating point, or is too small.
        """
        check_image(image, SMALLEST_SIDE)
        height, width = image.shape[-2:]
        return self.padded(image)[..., :height, :width]

    def padded(self, image: Tensor) -> Tensor:
        """Return the stylised picture, continued to the right and below to ``multiple`` px."""
        height, width = image.shape[-2:]
        missing = (0, -width % self.multiple, 0, -height % self.multiple)
        x = F.pad(normalized(image), missing, mode="reflect")  # every halving is exact
        return denormalized(self.body(x).to(image.dtype))


def normalized(image: Tensor) -> Tensor:
    """Return an image ``(N, 3, H, W)`` in [0, 1] as the networks' convolutions take it."""
    # By numbers: a tensor of them would be sent to a GPU at each call, and bind an exported model
    # to the device it was made on.
    planes = zip(image.unbind(1), MEAN, strict=True)
    return torch.stack([(plane - mean) / SPREAD for plane, mean in planes], dim=1)


def denormalized(output: Tensor) -> Tensor:
    """Return the last convolution's output as an image: the reverse of ``normalized``."""
    planes = zip(output.unbind(1), MEAN, strict=True)
    return torch.stack([plane * SPREAD + mean for plane, mean in planes], dim=1)


def network_names() -> list[str]:
    """Return the names of the networks: those of the files in ``models/networks``."""
    return sorted(module.name for module in pkgutil.iter_modules(networks.__path__))


def network_class(name: object) -> type[StyleNetwork]:
    """Return the class of a network's name.

    Raises:
        ValueError: There is no such network.
    """
    names = network_names()
    if name not in names:
        raise ValueError(f"network.name must be {' or '.join(names)}, found {name!r}")
    module = importlib.import_module(f"{networks.__name__}.{name}")
    return next(
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, StyleNetwork)
        and value.__module__ == module.__name__
    )


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
    return design(**values).float()  # whatever the program's default is
