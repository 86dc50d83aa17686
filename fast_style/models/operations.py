"""A network's body as a list of operations: for strips, ONNX and estimates of memory.

The body is run on a stand-in for a picture. Its layers are replaced by stand-ins that record what
they are applied to. Nothing is computed. So the modules are the only description of a network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from fast_style.models.blocks import Exact
from fast_style.models.layers import DoublingConv, ReflectionPad, ThinConv
from fast_style.models.network import StyleNetwork

KNOWN_LAYERS = (ReflectionPad, nn.Conv2d, DoublingConv, ThinConv, nn.InstanceNorm2d, nn.ReLU)
CONCATENATIONS = (torch.cat, torch.concat, torch.concatenate)
KNOWN = f"{', '.join(layer.__name__ for layer in KNOWN_LAYERS)}, sums (+) and torch.cat(..., dim=1)"


class Operation(NamedTuple):
    """One step of a network's body. The first is the picture itself, the last the result."""

    name: str  # of the layer in the network, as ``residual.0.convolutions.1.1``
    layer: nn.Module | None  # of ``KNOWN_LAYERS``; none for the picture, a sum, a concatenation
    inputs: tuple[int, ...]  # places of earlier operations in the list
    channels: int
    down: int  # how many px of the picture a pixel of this stands for, each way
    exact: bool  # inside ``Exact``: never in bfloat16

    @property
    def is_concatenation(self) -> bool:
        """Whether the inputs' channels are put one after another, not summed."""
        return self.name.startswith("concatenation")


class UnsupportedNetworkError(ValueError):
    """A body that does more than ``KNOWN_LAYERS``, sums and concatenations of channels."""


def operations(network: StyleNetwork) -> list[Operation]:
    """Return what a network computes between ``normalized`` and ``denormalized``.

    The layers are the network's own.

    Raises:
        UnsupportedNetworkError: It does what is not known; the message says what.
    """
    record = _Record()
    picture = record.add("picture", None, (), 3, 1)
    try:
        result: Any = record.twin(network, "").body(picture)
    except TypeError as error:  # of what a stand-in can't do, as a product
        raise UnsupportedNetworkError(f"a body is made of {KNOWN}; found {error}") from error
    if not isinstance(result, _StandIn):
        raise UnsupportedNetworkError(f"a body is made of {KNOWN}; found {type(result).__name__}")
    last, left = record.list[-1], len(record.list) - 1 - result.place
    if left or (last.channels, last.down) != (3, 1):
        raise UnsupportedNetworkError(
            f"a body must end in a picture of full size, found {last.channels} channels at a "
            f"{last.down}th of the resolution, and {left} layers that the result does not need"
        )
    deepest = max(one.down for one in record.list)
    if deepest != network.multiple:
        raise UnsupportedNetworkError(
            f"the body's deepest layer stands at a {deepest}th of the resolution, and its multiple "
            f"is {network.multiple}: they must be the same"
        )
    for one in record.list:
        if one.exact and not all(record.list[k].exact or k == 0 for k in one.inputs):
            raise UnsupportedNetworkError(f"{one.name} is in Exact, but comes after what is not")
    return record.list


class _Record:
    """The operations that were recorded so far."""

    def __init__(self) -> None:
        self.list: list[Operation] = []
        self.exact = 0  # how deep inside ``Exact``

    def add(
        self,
        name: str,
        layer: nn.Module | None,
        inputs: tuple[_StandIn, ...],
        channels: int,
        down: int,
    ) -> _StandIn:
        """Record an operation; return the stand-in for its result."""
        if not down:
            raise UnsupportedNetworkError(f"{name} doubles a picture of full resolution")
        places = tuple(one.place for one in inputs)
        self.list.append(Operation(name, layer, places, channels, down, self.exact > 0))
        return _StandIn(self, len(self.list) - 1)

    def joined(
        self, name: str, inputs: tuple[Any, ...], channels: Callable[[list[int]], int]
    ) -> _StandIn:
        """Record a sum or a concatenation."""
        if not all(isinstance(one, _StandIn) for one in inputs):
            raise UnsupportedNetworkError(f"{name} takes in what no layer has made")
        parts = [self.list[one.place] for one in inputs]
        if len({one.down for one in parts}) > 1:
            raise UnsupportedNetworkError(f"{name} joins different resolutions")
        width = channels([one.channels for one in parts])
        return self.add(f"{name}_{len(self.list)}", None, inputs, width, parts[0].down)

    def twin(self, module: nn.Module, name: str) -> Any:
        """Return a copy of a module whose layers record what they are applied to."""
        if isinstance(module, KNOWN_LAYERS):
            _check_layer(name, module)
            return _LayerTwin(self, name, module)
        twin = copy.copy(module)
        children = {
            key: self.twin(child, f"{name}.{key}" if name else key)
            for key, child in module.named_children()
        }
        if isinstance(module, Exact):
            return _ExactTwin(self, nn.Sequential(*children.values()))
        twin._modules = dict(children)
        return twin


class _StandIn:
    """Stands for the result of an operation while a body is run."""

    def __init__(self, record: _Record, place: int) -> None:
        self.record, self.place = record, place

    def __add__(self, other: object) -> _StandIn:
        def same(channels: list[int]) -> int:
            if len(set(channels)) > 1:
                raise UnsupportedNetworkError(f"a sum of {channels[0]} and {channels[1]} channels")
            return channels[0]

        return self.record.joined("sum", (self, other), same)

    __radd__ = __add__

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> _StandIn:
        """Record a concatenation of channels; any other function is an error."""
        dim = (kwargs or {}).get("dim", args[1] if len(args) > 1 else 0)
        if function not in CONCATENATIONS or dim != 1:
            name = getattr(function, "__name__", str(function))
            raise UnsupportedNetworkError(f"a body is made of {KNOWN}; found {name}")
        parts = tuple(args[0])
        record = next(one for one in parts if isinstance(one, cls)).record
        return record.joined("concatenation", parts, sum)

    def __getattr__(self, name: str) -> Any:
        raise UnsupportedNetworkError(f"a body is made of {KNOWN}; found .{name}")


class _LayerTwin(nn.Module):
    """Records what a layer is applied to."""

    def __init__(self, record: _Record, name: str, layer: nn.Module) -> None:
        super().__init__()
        self.record, self.name = record, name
        self.own = [layer]  # in a list: it is no part of this module

    def forward(self, x: _StandIn) -> _StandIn:
        """Return the stand-in for the layer's result."""
        layer, before = self.own[0], self.record.list[x.place]
        channels, down = before.channels, before.down
        if isinstance(layer, ReflectionPad) and not layer.padding[0]:
            return x
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
            down = down // 2 if isinstance(layer, DoublingConv) else down * layer.stride[0]
        return self.record.add(self.name, layer, (x,), channels, down)


class _ExactTwin(nn.Module):
    """Runs the layers in ``Exact``; what they record is marked as exact."""

    def __init__(self, record: _Record, inside: nn.Module) -> None:
        super().__init__()
        self.record, self.inside = record, inside

    def forward(self, x: _StandIn) -> Any:
        """Return the stand-in for the result."""
        self.record.exact += 1
        try:
            return self.inside(x)
        finally:
            self.record.exact -= 1


def _check_layer(name: str, layer: nn.Module) -> None:
    """Check that strips and ONNX support a layer's settings."""
    wrong = ""
    if isinstance(layer, nn.Conv2d):
        square = len(set(layer.kernel_size)) == len(set(layer.stride)) == 1
        if not square or layer.groups != 1 or set(layer.dilation) != {1}:
            wrong = "must have a square kernel, one stride, no groups and no dilation"
        elif layer.padding not in ((0, 0), 0, "valid"):
            wrong = "pads with zeros: put a ReflectionPad before it"
    elif isinstance(layer, nn.InstanceNorm2d) and (not layer.affine or layer.track_running_stats):
        wrong = "must be affine, without running statistics"
    if wrong:
        raise UnsupportedNetworkError(f"{name} ({type(layer).__name__}) {wrong}")
