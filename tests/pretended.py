"""A device that is not there: tensors of the CPU that say they are on it, and are kept apart.

PyTorch's own fake tensors can do no backward pass where there is no GPU, and have no values. These
have them, so that all that the program reads is real, and the results can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

CPU = torch.device("cpu")
COPIES = (Tensor.copy_, Tensor.__setitem__, torch._has_compatible_shallow_copy_type)
INDEXED = (Tensor.__getitem__, Tensor.__setitem__)  # by what is on the CPU too


class Elsewhere(Tensor):
    """A tensor that says it is on a device; all else is as of one on the CPU."""

    place: torch.device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place


def place_of(x: Tensor) -> torch.device:
    return getattr(x, "place", CPU)


def put(x: Any, place: torch.device) -> Any:
    """Return a result as one of a device."""
    if type(x) not in (Tensor, torch.nn.Parameter, Elsewhere):
        return x
    if place.type == "mps" and x.dtype == torch.float64:
        raise TypeError("MPS has no float64")
    if place == CPU:
        return x.as_subclass(Tensor) if isinstance(x, Elsewhere) else x
    moved = x if isinstance(x, Elsewhere) else x.as_subclass(Elsewhere)
    moved.place = place
    return moved


def devices(values: Any) -> Iterator[torch.device]:
    """Yield the devices that are named, by themselves, in text or as another tensor's."""
    for value in values:
        if isinstance(value, torch.device):
            yield value
        elif isinstance(value, str):
            yield torch.device(value)
        elif isinstance(value, Tensor):
            yield place_of(value)


class Pretended(TorchFunctionMode):
    """While it is entered there are devices, of types ``cuda`` and ``mps``."""

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        keywords = dict(keywords or {})
        tensors = [x for x in tree_flatten((arguments, keywords))[0] if isinstance(x, Tensor)]
        place = self.common_place(function, tensors)
        name = getattr(function, "__name__", "")
        if name in ("cpu", "numpy"):
            if name == "numpy" and place != CPU:
                raise TypeError(f"cannot convert a tensor on {place} to NumPy")
            place = CPU
        elif name == "to":
            place = next(devices([*arguments[1:], *keywords.values()]), place)
            arguments = tuple(CPU if isinstance(x, torch.device | str) else x for x in arguments)
        if keywords.get("device") is not None:
            place = torch.device(keywords["device"])
            keywords["device"] = CPU
        generator = keywords.get("generator")
        if generator is not None and generator.device.type != place.type:
            raise RuntimeError(f"expected a generator of {place}, found one of {generator.device}")
        if function is torch.bmm and "out_dtype" in keywords:  # which CPUs do not have
            dtype = keywords.pop("out_dtype")
            arguments = tuple(x.to(dtype) for x in arguments)
        if function is torch.conv2d and place.type == "mps":
            for x in arguments[:2]:
                last = x.is_contiguous(memory_format=torch.channels_last)
                assert x.is_contiguous() or not last, "channels-last on MPS"
        with torch._C.DisableTorchFunctionSubclass():
            result = function(*arguments, **keywords)
        return tree_map_only(Tensor, lambda x: put(x, place), result)

    def common_place(self, function: Any, tensors: list[Tensor]) -> torch.device:
        """Return where the tensors of a call are, checked to be one place.

        Raises:
            RuntimeError: They are in several.
        """
        if not tensors:
            return CPU
        first = place_of(tensors[0])
        # Of gradients autograd does not tell the place.
        in_backward = torch._C._current_graph_task_id() != -1
        if function in COPIES or getattr(function, "__name__", "") == "to":
            return first
        others = [x for x in tensors if x.ndim or place_of(x) != CPU]  # numbers come along
        if function in INDEXED:
            others = [x for x in others if place_of(x) != CPU]
        places = {place_of(x) for x in others}
        if len(places) > 1 and not in_backward:
            name = getattr(function, "__name__", function)
            raise RuntimeError(f"{name}: expected all tensors on one device, found {places}")
        return next((place for place in places if place != CPU), first)
