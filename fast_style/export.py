"""python -m fast_style.export CKPT OUT.onnx: write a style model for other runtimes."""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fast_style.cli.command import end
from fast_style.cli.console import show, usable_streams
from fast_style.cli.parser import Parser, path_argument
from fast_style.images.limits import SMALLEST_SIDE
from fast_style.models.network import MARGIN, StyleNetwork
from fast_style.models.onnx_graph import INPUT, portable_graph
from fast_style.models.palette import CELL, cell_means, enlarged, with_margin
from fast_style.models.style_file import ModelFileError, StyleModel, load_style_model
from fast_style.painting.backends import import_openvino, openvino_core
from fast_style.painting.controls import Controls
from fast_style.painting.options import PALETTE
from fast_style.system.atomic import write_together
from fast_style.system.messages import command, install, one_line

PROGRAM = "export"
# The format by the file's ending.
EXPORT_FORMATS = {".onnx": "onnx", ".xml": "openvino", ".pt": "torchscript", ".pt2": "pt2"}
CHECKED_SIZES = ((1, 64, 64), (2, 75, 98))  # batch, height, width
TOLERANCE = 2 / 255  # largest mean difference from PyTorch's result, in [0, 1]
ExportedModel = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]


class Portable(nn.Module):
    """All that ``stylize`` does to a picture, except for the grain, as one module.

    That is: the range of its pictures, the margin, the network, the palette, and clamping.

    Args:
        network: Of a style model.
        value_range: What white is: 1 or 255.
        shift: ``Palette.shift`` of the model; None leaves the network's colours.
    """

    def __init__(
        self, network: StyleNetwork, value_range: int, shift: nn.Conv2d | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.value_range = value_range
        self.shift = shift

    def forward(self, image: Tensor) -> Tensor:
        """Return the stylised pictures, ``(N, 3, H, W)``, in the same range."""
        height, width = image.shape[-2:]
        wider = nn.functional.pad(image / self.value_range, (MARGIN,) * 4, mode="reflect")
        stylized = self.cut(self.network.padded(wider), MARGIN, height, width).clamp(0, 1)
        if self.shift is not None:
            shifts = enlarged(with_margin(self.shift(cell_means(stylized))))
            stylized = (stylized + self.cut(shifts, CELL, height, width)).clamp(0, 1)
        return stylized * self.value_range

    def cut(self, image: Tensor, start: int, height: int, width: int) -> Tensor:
        """Return ``height`` rows and ``width`` columns, from ``start`` on."""
        return image[..., start : start + height, start : start + width]


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    result = Parser(
        prog=command(PROGRAM),
        description="Write a style model for another runtime: RGB (N, 3, H, W), any batch, height "
        f"and width from {SMALLEST_SIDE} px. The file is kept if its results agree with PyTorch's.",
    )
    result.add_argument("model", metavar="CKPT", help="a style model, or a released style")
    endings = ", ".join(f"{ending} ({name})" for ending, name in EXPORT_FORMATS.items())
    result.add_argument("output", metavar="OUT", type=path_argument, help=f"ends in {endings}")
    result.add_argument(
        "--range",
        type=int,
        choices=(1, 255),
        default=1,
        help="of the pictures, in and out: 0 to 1 or 0 to 255 (%(default)s)",
    )
    result.add_argument(
        "--half", action="store_true", help="weights in float16: half the size (onnx, openvino)"
    )
    result.add_argument(
        "--palette",
        type=float,
        default=PALETTE,
        metavar="S",
        help="as stylize's, from 0, the network alone, to 1 (%(default)g)",
    )
    result.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for wrong use or a failed check, or 130 if interrupted."""
    usable_streams()
    options = parser().parse_args(argv)
    return end(PROGRAM, lambda: _run_export(options))


def export(
    model: StyleModel,
    output: Path,
    value_range: int = 1,
    half: bool = False,
    palette: float = PALETTE,
    overwrite: bool = False,
) -> None:
    """Write a style model in the format that ``output``'s ending names.

    Args:
        model: As ``load_style_model`` returns it.
        output: Ends in one of ``EXPORT_FORMATS``; OpenVINO writes a ``.bin`` beside it.
        value_range: What white is in the pictures it takes and gives: 1 or 255.
        half: Keep the weights in float16.
        palette: As ``Controls.palette``, for models that have one.
        overwrite: Replace files that exist.

    Raises:
        ValueError: Another ending, ``half`` where it can't be, ``palette`` out of its range, or a
            package that is missing.
        ModelFileError: The exported model's results are not PyTorch's.
        FileExistsError: There is such a file already, and it may not be replaced.
        OSError: The file can't be written.
    """
    form = EXPORT_FORMATS.get(output.suffix)
    if form is None:
        raise ValueError(f"{output} must end in {', '.join(EXPORT_FORMATS)}")
    if half and form in ("torchscript", "pt2"):
        raise ValueError(f"--half is for .onnx and .xml, found {output}")
    Controls(palette=palette).check()
    shift = model.palette.shift(palette) if palette and model.palette is not None else None
    portable = Portable(model.network, value_range, shift).eval()
    metadata = _metadata(model, value_range, palette if shift is not None else 0.0)
    writers: dict[str, Callable[..., ExportedModel]] = {
        "onnx": _write_onnx,
        "openvino": _write_openvino,
        "torchscript": _write_torchscript,
        "pt2": _write_pt2,
    }
    # Some formats are two files, and none is kept before it is checked. (Windows can't delete what
    # the check still has open.)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # the exporters warn about themselves
        draft = Path(folder) / output.name
        try:
            runner = writers[form](portable, draft, metadata, half)
        except (ValueError, OSError):
            raise
        except Exception as error:  # each runtime and checker raises its own
            raise ModelFileError(
                f"{output} is not kept: its own runtime refuses it: {one_line(error)}"
            ) from error
        _check(portable, runner, value_range, str(output))
        drafts = sorted(Path(folder).iterdir())  # .bin before .xml, which users open
        write_together(drafts, output.parent, overwrite)


def _run_export(options: argparse.Namespace) -> int:
    output: Path = options.output
    files = [output]
    if EXPORT_FORMATS.get(output.suffix) == "openvino":
        files.append(output.with_suffix(".bin"))
    for path in files:
        if path.exists() and not options.overwrite:
            raise ValueError(f"{path} exists; --overwrite replaces it")
    model = load_style_model(options.model)
    export(model, output, options.range, options.half, options.palette, options.overwrite)
    return 0 if show(PROGRAM, output) else 1


def _metadata(model: StyleModel, value_range: int, palette: float) -> dict[str, str]:
    return {
        "name": model.name,
        "range": f"0-{value_range}",
        "palette": f"{palette:g}",
        "layout": f"RGB, (N, 3, H, W), H and W at least {SMALLEST_SIDE}",
        "licence": str(model.description.get("licence") or "not stated"),
        "fast_style": json.dumps(model.description, sort_keys=True),
    }


def _example(shape: tuple[int, int, int], value_range: int) -> Tensor:
    """Return pictures of smooth noise: photographs are smooth too."""
    generator = torch.Generator().manual_seed(0)
    batch, height, width = shape
    coarse = torch.rand(batch, 3, 9, 9, generator=generator)
    return value_range * nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def _check(portable: Portable, runner: ExportedModel, value_range: int, name: str) -> None:
    for shape in CHECKED_SIZES:
        image = _example(shape, value_range)
        with torch.no_grad():
            expected = portable(image).numpy()
        found = runner(image.numpy())
        if found.shape != expected.shape:
            raise ModelFileError(
                f"{name} is not kept: for {tuple(image.shape)} it gives {found.shape}"
            )
        difference = float(np.abs(found - expected).mean()) / value_range
        if not difference <= TOLERANCE:
            raise ModelFileError(
                f"{name} is not kept: it differs from PyTorch by {difference * 255:.2f} levels of "
                f"255 on average, {TOLERANCE * 255:.0f} at most were expected"
            )


def _write_onnx(
    portable: Portable, path: Path, metadata: dict[str, str], half: bool
) -> ExportedModel:
    try:
        import onnx
        import onnxruntime
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise ValueError(f"ONNX needs {error.name}: {install('onnx')}") from error
    onnxruntime.set_default_logger_severity(3)  # errors only
    graph = portable_graph(portable.network, portable.value_range, portable.shift, MARGIN)
    if half:
        graph = convert_float_to_float16(graph, keep_io_types=True)
        OnnxModel.graph_topological_sort(graph.graph)  # it puts casts at the end
    onnx.helper.set_model_props(graph, metadata)
    onnx.save(graph, path)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {INPUT: image})[0]


def _write_openvino(
    portable: Portable, path: Path, metadata: dict[str, str], half: bool
) -> ExportedModel:
    try:
        import onnx  # noqa: F401, the graph is made with it

        openvino = import_openvino()
        core = openvino_core()
    except ImportError as error:
        raise ValueError(f"OpenVINO's files need {error.name}: {install('openvino')}") from error
    graph = portable_graph(portable.network, portable.value_range, portable.shift, MARGIN)
    converted = core.read_model(graph.SerializeToString())
    for key, value in metadata.items():
        converted.set_rt_info(value, ["fast_style", key])
    openvino.save_model(converted, path, compress_to_fp16=half)
    compiled = core.compile_model(path, "CPU")
    return lambda image: np.asarray(compiled(image)[0])


def _write_torchscript(
    portable: Portable, path: Path, metadata: dict[str, str], half: bool
) -> ExportedModel:
    example = _example(CHECKED_SIZES[1], portable.value_range)
    traced = torch.jit.trace(portable, example, check_trace=False)
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer, _extra_files=metadata)
    _write_without_sources(buffer, path)
    loaded = torch.jit.load(path)
    return lambda image: loaded(torch.from_numpy(image)).detach().numpy()


def _write_without_sources(archive: io.BytesIO, path: Path) -> None:
    """Write a TorchScript file without the records that name paths of this machine."""
    with zipfile.ZipFile(archive) as read, zipfile.ZipFile(path, "w") as written:
        for record in read.infolist():
            if not record.filename.endswith(".debug_pkl"):
                written.writestr(record, read.read(record))


class _Cropped(Portable):
    """As ``Portable``, but cuts by index: torch.export would fix a slice to the example's size."""

    def cut(self, image: Tensor, start: int, height: int, width: int) -> Tensor:
        image = image.index_select(2, start + torch.arange(height, device=image.device))
        return image.index_select(3, start + torch.arange(width, device=image.device))


def _write_pt2(
    portable: Portable, path: Path, metadata: dict[str, str], half: bool
) -> ExportedModel:
    from torch.export import Dim, load, save

    free = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    module = _Cropped(portable.network, portable.value_range, portable.shift).eval()
    example = _example(CHECKED_SIZES[1], portable.value_range)
    program = torch.export.export(module, (example,), dynamic_shapes={"image": free}, strict=False)
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # paths of this machine
    buffer = io.BytesIO()  # PyTorch's own writer kills the process on a full disk
    save(program, buffer, extra_files=metadata)
    path.write_bytes(buffer.getvalue())
    loaded = load(path).module()
    return lambda image: loaded(torch.from_numpy(image)).detach().numpy()


if __name__ == "__main__":
    sys.exit(main())
