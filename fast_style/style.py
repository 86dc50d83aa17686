"""A trained style as a function from picture to picture: what fast_style.load returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fast_style.checkpoint import StyleModel, load_style_model
from fast_style.checks import check_range
from fast_style.hardware import resolve_device
from fast_style.image import Picture, PillowImage, array_like, from_array, from_pil, to_pil

AnyImage = TypeVar("AnyImage", PillowImage, Tensor, npt.NDArray[Any])


class Style:
    """Paints pictures in a trained style; safe to call from several threads.

    Args:
        model: As ``load_style_model`` returns it.
        device: ``auto`` (the GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...

    Raises:
        ValueError: There is no such device.
    """

    def __init__(self, model: StyleModel, device: str = "auto") -> None:
        self.device = resolve_device(device)
        self.network = model.network.to(self.device)
        self.name = model.name
        self.description = model.description

    def __call__(self, image: AnyImage) -> AnyImage:
        """Return the picture in this style: same kind, same size.

        Args:
            image: A Pillow image of any mode (transparency is kept), an array ``(H, W)``,
                ``(H, W, 3)`` or ``(H, W, 4)``, uint8 or float in [0, 1] (three or four channels
                come back), or a tensor ``(3, H, W)`` or ``(N, 3, H, W)``, float in [0, 1].

        Raises:
            ValueError: Another shape or type, or a side of less than 32 px.
        """
        if isinstance(image, Tensor):
            if image.ndim == 3:
                return self.paint(image[None])[0].to(image)
            return self.paint(image).to(image)
        if isinstance(image, np.ndarray):
            picture = from_array(image)
            return array_like(image, self.paint(picture.rgb), picture.alpha)
        if isinstance(image, PillowImage):
            picture = from_pil(image)
            return to_pil(self.paint(picture.rgb), picture.alpha)
        raise ValueError(f"expected a Pillow image, an array or a tensor, found {type(image)}")

    def paint(self, rgb: Tensor) -> Tensor:
        """Return the stylised pictures, ``(N, 3, H, W)`` float32 in [0, 1], on the CPU or as given.

        Args:
            rgb: ``(N, 3, H, W)``, float in [0, 1].

        Raises:
            ValueError: Another shape or type, values outside [0, 1], or a side of less than 32 px.
        """
        if rgb.is_floating_point() and rgb.numel():
            check_range(rgb)
        with torch.no_grad():
            inputs = rgb.to(self.device, torch.float32) if rgb.is_floating_point() else rgb
            stylized: Tensor = self.network(inputs)
            return stylized.clamp_(0, 1).to(rgb.device)

    def paint_picture(self, picture: Picture) -> Picture:
        """Return a picture as read from a file, stylised, its transparency kept."""
        return Picture(self.paint(picture.rgb), picture.alpha)

    def __repr__(self) -> str:
        """Name the style and the device."""
        return f"Style({self.name!r}, device={str(self.device)!r})"


def load(name_or_path: str | Path, device: str = "auto") -> Style:
    """Load a released style by name, or a style model or checkpoint by path.

    Raises:
        ModelFileError: Missing, damaged, from a later version, or not ours.
        ValueError: There is no such device.
    """
    return Style(load_style_model(name_or_path), device)
