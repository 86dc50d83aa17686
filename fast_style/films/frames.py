"""Frames of videos, from FFmpeg's to pictures and back: colours, fields, sizes. Knows PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.images.picture import as_bytes, resize

# Numbers of ITU-T H.273, which containers and codecs share.
BT709, UNSPECIFIED, BT601 = 1, 2, 5
HD_HEIGHT = 720  # px, from which on a video that does not say so has the colours of BT.709
LIMITED_RANGE = 1
# Flags of libswscale: without them pictures came out a level darker.
EXACT = ("BICUBIC", "ACCURATE_RND", "FULL_CHR_H_INT", "FULL_CHR_H_INP")


class Progressive:
    """Turns interlaced frames into progressive ones, one for one; others pass unchanged.

    ``used`` is whether there was one.
    """

    def __init__(self) -> None:
        self.used = False
        self._shape: tuple[int, int, str] | None = None  # of what the filter takes
        self._graph: Any = None

    def frames(self, frame: Any) -> Iterator[Any]:
        """Yield the frames that are ready, in order.

        Args:
            frame: The next decoded one; none after the last.
        """
        if frame is None:
            if self._graph is not None:
                yield from self._end()
            return
        if not (self.used or frame.interlaced_frame):
            yield frame
            return
        self.used = True
        shape = frame.width, frame.height, frame.format.name
        if shape != self._shape:
            if self._graph is not None:
                yield from self._end()
            self._begin(frame, shape)
        self._graph.push(frame)
        yield from self._pulled()

    def _begin(self, frame: Any, shape: tuple[int, int, str]) -> None:
        import av

        self._shape, self._graph = shape, av.filter.Graph()
        width, height, name = shape
        source = self._graph.add_buffer(
            width=width, height=height, format=name, time_base=frame.time_base
        )
        # A frame for a frame: the rate stays.
        filters = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        self._graph.link_nodes(source, filters, self._graph.add("buffersink")).configure()

    def _pulled(self) -> Iterator[Any]:
        import av

        while True:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def _end(self) -> Iterator[Any]:
        self._graph.push(None)
        yield from self._pulled()
        self._shape = self._graph = None


def upright(frame: Any) -> Tensor:
    """Return a decoded frame as it is to be seen, ``(1, 3, H, W)``, uint8."""
    colors = frame.colorspace
    if colors == UNSPECIFIED:
        colors = BT709 if frame.height >= HD_HEIGHT else BT601
    pixels: npt.NDArray[np.uint8] = frame.to_ndarray(
        format="rgb24", src_colorspace=colors, interpolation=_exact()
    )
    turned = np.rot90(pixels, round(frame.rotation / 90))
    return torch.from_numpy(np.ascontiguousarray(turned)).permute(2, 0, 1)[None]


def fitted(levels: Tensor, height: int, width: int) -> Tensor:
    """Return a picture ``(1, 3, H, W)`` within a frame of another shape, black around it."""
    if levels.shape[-2:] == (height, width):
        return levels
    factor = min(height / levels.shape[-2], width / levels.shape[-1])
    inner = [max(1, round(side * factor)) for side in levels.shape[-2:]]
    small = resize(levels, inner[0], inner[1])
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    return F.pad(small, (left, width - inner[1] - left, top, height - inner[0] - top))


def encodable(levels: Tensor, pixel_format: str) -> Any:
    """Return a picture, ``(1, 3, H, W)``, as a frame for an encoder, in the colours of BT.709."""
    import av

    pixels = as_bytes(levels)[0].permute(1, 2, 0).contiguous().cpu().numpy()
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    made = frame.reformat(
        format=pixel_format,
        dst_colorspace=BT709,
        dst_color_range=LIMITED_RANGE,
        interpolation=_exact(),
    )
    made.colorspace, made.color_range = BT709, LIMITED_RANGE
    return made


def _exact() -> int:
    from av.video.reformatter import Interpolation

    return sum(int(Interpolation[name]) for name in EXACT)
