"""A network as an ONNX graph, written node by node: any batch, height and width.

Owns the translation alone; export.py keeps such graphs in files, backends.py runs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fast_style.models.layers import DoublingConv, ThinConv
from fast_style.models.network import (
    MEAN,
    SPREAD,
    ConvNorm,
    Residual,
    TransformerNetwork,
)
from fast_style.models.palette import CELL

if TYPE_CHECKING:
    import onnx

OPSET = 18  # onnxruntime 1.14, onnxruntime-web 1.14 and OpenVINO 2023 read it
IR_VERSION = 8
INPUT, OUTPUT = "image", "stylized"


def portable_graph(
    network: TransformerNetwork,
    value_range: int,
    shift: nn.Conv2d | None = None,
    margin: int = 0,
) -> onnx.ModelProto:
    """Return a network from picture to picture: ``image`` in, ``stylized`` out, clamped.

    Both are float32 ``(N, 3, H, W)``, RGB; N, H and W are free, H and W from 32.

    Args:
        network: On the CPU.
        value_range: What white is in the pictures: 1 or 255.
        shift: Of the model's palette, if it is part of the graph.
        margin: px of its reflection around the picture, painted and cut off; a multiple of 4.

    Raises:
        ImportError: onnx is not installed.
    """
    graph = _Graph()
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    x = graph.node("Mul", INPUT, graph.constant(torch.tensor(1 / (value_range * SPREAD))))
    x = graph.node("Sub", x, graph.constant(mean / SPREAD))
    size = graph.node("Shape", INPUT, start=2)
    if margin:
        around = graph.constant(torch.tensor([0, 0, margin, margin] * 2))
        x = graph.node("Pad", x, around, mode="reflect")
    # Reflected to multiples of 4 below and to the right, and cut to the old size at the end.
    x = graph.encoder(network, graph.filled(x, size, 4, "reflect"))
    x = graph.trunk(network, x)
    x = graph.cut(x, margin, size)
    x = graph.node("Add", x, graph.constant(mean / SPREAD))
    x = graph.node("Mul", x, graph.constant(torch.tensor(value_range * SPREAD)))
    low, high = (graph.constant(torch.tensor(float(value))) for value in (0, value_range))
    if shift is not None:
        x = graph.node("Clip", x, low, high)
        x = graph.node("Add", x, graph.shifts(x, size, shift, value_range))
    graph.node("Clip", x, low, high, output=OUTPUT)
    return graph.model(3, 3)


def encoder_graph(network: TransformerNetwork) -> onnx.ModelProto:
    """Return the encoder: from a normalised picture ``(N, 3, H, W)``, H and W multiples of 4.

    Raises:
        ImportError: onnx is not installed.
    """
    graph = _Graph()
    graph.encoder(network, INPUT, output=OUTPUT)
    return graph.model(3, _encoded(network))


def trunk_graph(network: TransformerNetwork) -> onnx.ModelProto:
    """Return what follows the encoder, to the last convolution's output, ``(N, 3, H, W)``.

    Raises:
        ImportError: onnx is not installed.
    """
    graph = _Graph()
    graph.trunk(network, INPUT, output=OUTPUT)
    return graph.model(_encoded(network), 3)


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

        name = name or f"constant_{len(self.constants)}"
        if value.is_floating_point():  # whatever the program's default is
            value = value.float()
        self.constants.append(numpy_helper.from_array(value.detach().cpu().numpy(), name))
        return name

    def model(self, inputs: int, outputs: int) -> onnx.ModelProto:
        """Return the graph from ``INPUT`` to ``OUTPUT``, of so many channels, as a model."""
        from onnx import TensorProto, checker, helper

        free = ("batch", "height", "width")

        def picture(name: str, channels: int) -> Any:
            shape: list[str | int | None] = [free[0], channels, *free[1:]]
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.nodes,
            "fast_style",
            [picture(INPUT, inputs)],
            [picture(OUTPUT, outputs)],
            self.constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        checker.check_model(model)
        return model

    def filled(self, x: str, size: str, multiple: int, mode: str) -> str:
        """Add a padding below and to the right, of a picture of ``size``, to multiples."""
        multiples = self.constant(torch.tensor([multiple, multiple]))
        missing = self.node("Mod", self.node("Neg", size), multiples)  # floor's, as in Python
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

    def encoder(self, network: TransformerNetwork, x: str, output: str = "") -> str:
        """Add a network's encoder to the result ``x``, by the name ``output`` if that matters."""
        last = len(network.encoder) - 1
        for number, layer in enumerate(network.encoder):
            x = self._sequence(layer, f"encoder.{number}", x, output if number == last else "")
        return x

    def trunk(self, network: TransformerNetwork, x: str, output: str = "") -> str:
        """Add what follows the encoder, likewise."""
        for number, block in enumerate(network.residual):
            assert isinstance(block, Residual)
            y = x
            for inner, layer in enumerate(block.convolutions):
                y = self._sequence(layer, f"residual.{number}.convolutions.{inner}", y)
            x = self.node("Add", x, y)
        for number, layer in enumerate(network.decoder):
            x = self._sequence(layer, f"decoder.{number}", x)
        return self._sequence(network.output, "output", x, output)

    def _sequence(self, layers: nn.Module, name: str, x: str, output: str = "") -> str:
        assert isinstance(layers, nn.Sequential)
        for number, layer in enumerate(layers):
            last = output if number == len(layers) - 1 else ""
            x = self._layer(layer, f"{name}.{number}", x, last)
        return x

    def _layer(self, layer: nn.Module, name: str, x: str, output: str) -> str:
        match layer:
            case nn.ReflectionPad2d():
                left, right, above, below = layer.padding
                if not any(layer.padding):  # before a convolution of 1 x 1
                    return x
                pads = torch.tensor([0, 0, above, left, 0, 0, below, right])
                return self.node("Pad", x, self.constant(pads), mode="reflect", output=output)
            case DoublingConv():
                return self._doubling(layer, name, x, output)
            case ThinConv():
                return self._thin(layer, name, x, output)
            case nn.Conv2d():
                return self._convolution(layer.weight, layer.bias, name, x, output, layer.stride)
            case nn.InstanceNorm2d():
                scale = self.constant(layer.weight, f"{name}.weight")
                shift = self.constant(layer.bias, f"{name}.bias")
                return self.node(
                    "InstanceNormalization", x, scale, shift, epsilon=layer.eps, output=output
                )
            case nn.ReLU():
                return self.node("Relu", x, output=output)
        raise ValueError(f"no ONNX graph for a layer of type {type(layer).__name__}")

    def _doubling(self, layer: DoublingConv, name: str, x: str, output: str) -> str:
        weight, bias = layer.folded()
        pads = self.constant(torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]))
        x = self.node("Pad", x, pads, mode="edge")
        x = self._convolution(weight, bias, name, x)
        x = self.node("DepthToSpace", x, blocksize=2, mode="CRD")
        one, end, axes = (self.constant(torch.tensor(v)) for v in ([1, 1], [-1, -1], [2, 3]))
        return self.node("Slice", x, one, end, axes, output=output)

    def _thin(self, layer: ThinConv, name: str, x: str, output: str) -> str:
        """Add the rows, and their sum as a second convolution, of zeros and ones.

        2.5 times as fast as one in OpenVINO and in onnxruntime (on a core, 520 x 520 px).
        """
        rows, outputs = layer.kernel_size[0], layer.out_channels
        x = self._convolution(layer.by_rows(), None, f"{name}.rows", x)
        # (rows * outputs, row, output) to (output, rows * outputs, row, 1)
        sums = torch.eye(rows * outputs).view(-1, rows, outputs).permute(2, 0, 1)[..., None]
        return self._convolution(sums.contiguous(), layer.bias, name, x, output)

    def _convolution(
        self,
        weight: Tensor,
        bias: Tensor | None,
        name: str,
        x: str,
        output: str = "",
        stride: tuple[int, ...] = (1, 1),
    ) -> str:
        inputs = [x, self.constant(weight, f"{name}.weight")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{name}.bias"))
        kernel = list(weight.shape[2:])
        return self.node("Conv", *inputs, kernel_shape=kernel, strides=list(stride), output=output)


def _encoded(network: TransformerNetwork) -> int:
    """Return how many channels the encoder gives."""
    last = network.encoder[-1]
    assert isinstance(last, ConvNorm)
    return last.outputs
