"""A network as an ONNX graph, from its operations: any batch, height and width.

Only the translation is here. ``export.py`` saves such graphs, ``painting/backends.py`` runs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fast_style.models.layers import DoublingConv, ThinConv
from fast_style.models.network import MEAN, SPREAD, StyleNetwork
from fast_style.models.operations import Operation, operations
from fast_style.models.palette import CELL

if TYPE_CHECKING:
    import onnx

OPSET = 18  # onnxruntime 1.14, onnxruntime-web 1.14 and OpenVINO 2023 read it
IR_VERSION = 8
INPUT, OUTPUT = "image", "stylized"


def portable_graph(
    network: StyleNetwork,
    value_range: int,
    shift: nn.Conv2d | None = None,
    margin: int = 0,
) -> onnx.ModelProto:
    """Return a network from picture to picture: ``image`` in, ``stylized`` out, clamped.

    Both are float32 ``(N, 3, H, W)``, RGB. Any N; H and W from ``SMALLEST_SIDE``.

    Args:
        network: On the CPU.
        value_range: What white is in the pictures: 1 or 255.
        shift: Of the model's palette, if it is part of the graph.
        margin: px of reflection around the picture; it is painted too, then cut off.

    Raises:
        ImportError: onnx is not installed.
        UnsupportedNetworkError: The network has layers that are not known.
    """
    graph = _Graph()
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    x = graph.node("Mul", INPUT, graph.constant(torch.tensor(1 / (value_range * SPREAD))))
    x = graph.node("Sub", x, graph.constant(mean / SPREAD))
    size = graph.node("Shape", INPUT, start=2)
    if margin:
        around = graph.constant(torch.tensor([0, 0, margin, margin] * 2))
        x = graph.node("Pad", x, around, mode="reflect")
    # Reflected to whole multiples below and to the right, and cut to the old size at the end.
    steps = operations(network)
    names = {0: graph.filled(x, size, network.multiple, "reflect")}
    graph.steps(steps, range(1, len(steps)), names)
    x = graph.cut(names[len(steps) - 1], margin, size)
    x = graph.node("Add", x, graph.constant(mean / SPREAD))
    x = graph.node("Mul", x, graph.constant(torch.tensor(value_range * SPREAD)))
    low, high = (graph.constant(torch.tensor(float(value))) for value in (0, value_range))
    if shift is not None:
        x = graph.node("Clip", x, low, high)
        x = graph.node("Add", x, graph.shifts(x, size, shift, value_range))
    graph.node("Clip", x, low, high, output=OUTPUT)
    return graph.model({INPUT: 3}, {OUTPUT: 3})


def body_graphs(network: StyleNetwork) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return a network's body in two parts: the layers in ``Exact``, always float32, and the rest.

    The first takes a normalised picture ``(N, 3, H, W)``, H and W multiples of
    ``network.multiple``, and gives one or more results. The second takes these in the same order,
    and gives the body's result ``(N, 3, H, W)``.

    Raises:
        ImportError: onnx is not installed.
        UnsupportedNetworkError: The network has layers that are not known.
    """
    steps = operations(network)
    exact = [place for place, one in enumerate(steps) if one.exact]
    rest = [place for place in range(1, len(steps)) if not steps[place].exact]
    crossing = sorted(
        {source for place in rest for source in steps[place].inputs if source not in rest}
    )
    first, second = _Graph(), _Graph()
    names = {0: INPUT}
    first.steps(steps, exact, names)
    outputs = {}
    for place in crossing:  # under a new name: a graph's output may not be its input
        outputs[f"{OUTPUT}_{place}"] = steps[place].channels
        first.node("Identity", names[place], output=f"{OUTPUT}_{place}")
    names = {place: f"{INPUT}_{place}" for place in crossing}
    inputs = {names[place]: steps[place].channels for place in crossing}
    second.steps(steps, rest, names)
    second.node("Identity", names[len(steps) - 1], output=OUTPUT)
    return first.model({INPUT: 3}, outputs), second.model(inputs, {OUTPUT: 3})


class _Graph:
    """Nodes and constants, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its result."""
        from onnx import helper

        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Tensor, name: str = "") -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper

        if value.is_floating_point():  # float32, even if the program's default is float64
            value = value.float()

        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.detach().cpu().numpy(), name))
        return name

    def model(self, inputs: dict[str, int], outputs: dict[str, int]) -> onnx.ModelProto:
        """Return the graph as a model, given the channels of each input and output."""
        from onnx import TensorProto, checker, helper

        def pictures(channels: dict[str, int]) -> list[Any]:
            return [
                helper.make_tensor_value_info(
                    name, TensorProto.FLOAT, ["batch", count, f"{name}_height", f"{name}_width"]
                )
                for name, count in channels.items()
            ]

        graph = helper.make_graph(
            self.nodes, "fast_style", pictures(inputs), pictures(outputs), self.constants
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        checker.check_model(model)
        return model

    def steps(self, network: list[Operation], places: Sequence[int], names: dict[int, str]) -> None:
        """Add some of a network's operations.

        Args:
            network: All of them.
            places: Which to add.
            names: Names of results by place: those needed from outside; new ones are added.
        """
        for place in places:
            one = network[place]
            given = [names[source] for source in one.inputs]
            if one.layer is not None:
                names[place] = self._layer(one.layer, one.name, given[0])
            elif one.is_concatenation:
                names[place] = self.node("Concat", *given, axis=1)
            else:
                names[place] = self.node("Sum", *given)

    def filled(self, x: str, size: str, multiple: int, mode: str) -> str:
        """Add a padding below and to the right, from ``size`` to the next multiples."""
        multiples = self.constant(torch.tensor([multiple, multiple]))
        missing = self.node(
            "Mod", self.node("Neg", size), multiples
        )  # the sign of the divisor, as in Python
        nowhere_else = self.constant(torch.zeros(6, dtype=torch.long))
        pads = self.node("Concat", nowhere_else, missing, axis=0)
        return self.node("Pad", x, pads, mode=mode)

    def cut(self, x: str, first: int, size: str) -> str:
        """Add a cut to so many rows and columns, ``size``, from ``first`` on."""
        start, axes = (self.constant(torch.tensor(v)) for v in ([first, first], [2, 3]))
        return self.node("Slice", x, start, self.node("Add", start, size), axes)

    def shifts(self, x: str, size: str, shift: nn.Conv2d, value_range: int) -> str:
        """Add how far a palette moves each pixel of ``x``, of ``size``, as ``Palette.shifted``."""
        x = self.filled(x, size, CELL, "edge")
        x = self.node("AveragePool", x, kernel_shape=[CELL, CELL], strides=[CELL, CELL])
        assert shift.bias is not None
        x = self._convolution(shift.weight, shift.bias * value_range, "palette", x)
        around = self.constant(torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]))
        x = self.node("Pad", x, around, mode="edge")
        scales = self.constant(torch.tensor([1.0, 1.0, CELL, CELL]))
        x = self.node("Resize", x, "", scales, mode="linear")
        return self.cut(x, CELL, size)

    def _layer(self, layer: nn.Module, name: str, x: str) -> str:
        match layer:
            case nn.ReflectionPad2d():
                left, right, above, below = layer.padding
                pads = torch.tensor([0, 0, above, left, 0, 0, below, right])
                return self.node("Pad", x, self.constant(pads), mode="reflect")
            case DoublingConv():
                return self._doubling(layer, name, x)
            case ThinConv():
                return self._thin(layer, name, x)
            case nn.Conv2d():
                return self._convolution(layer.weight, layer.bias, name, x, layer.stride)
            case nn.InstanceNorm2d():
                scale = self.constant(layer.weight, f"{name}.weight")
                shift = self.constant(layer.bias, f"{name}.bias")
                return self.node("InstanceNormalization", x, scale, shift, epsilon=layer.eps)
            case nn.ReLU():
                return self.node("Relu", x)
        raise ValueError(f"no ONNX graph for a layer of type {type(layer).__name__}")

    def _doubling(self, layer: DoublingConv, name: str, x: str) -> str:
        weight, bias = layer.folded()
        pads = self.constant(torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]))
        x = self.node("Pad", x, pads, mode="edge")
        x = self._convolution(weight, bias, name, x)
        x = self.node("DepthToSpace", x, blocksize=2, mode="CRD")
        one, end, axes = (self.constant(torch.tensor(v)) for v in ([1, 1], [-1, -1], [2, 3]))
        return self.node("Slice", x, one, end, axes)

    def _thin(self, layer: ThinConv, name: str, x: str) -> str:
        """Add the convolution by rows, and the sum of the rows as one with weights 0 and 1.

        2.5 times as fast as a single one in OpenVINO and onnxruntime (one core, 520 x 520 px).
        """
        rows, outputs = layer.kernel_size[0], layer.out_channels
        x = self._convolution(layer.by_rows(), None, f"{name}.rows", x)
        # (rows * outputs, row, output) to (output, rows * outputs, row, 1)
        sums = torch.eye(rows * outputs).view(-1, rows, outputs).permute(2, 0, 1)[..., None]
        return self._convolution(sums.contiguous(), layer.bias, name, x)

    def _convolution(
        self,
        weight: Tensor,
        bias: Tensor | None,
        name: str,
        x: str,
        stride: tuple[int, ...] = (1, 1),
    ) -> str:
        inputs = [x, self.constant(weight, f"{name}.weight")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{name}.bias"))
        kernel = list(weight.shape[2:])
        return self.node("Conv", *inputs, kernel_shape=kernel, strides=list(stride))
