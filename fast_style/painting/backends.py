"""What runs a network on a whole picture: PyTorch, onnxruntime or OpenVINO."""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.models.network import StyleNetwork, denormalized, normalized
from fast_style.models.onnx_graph import INPUT, body_graphs, portable_graph
from fast_style.system.messages import install
from fast_style.system.precision import exact_float32

log = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "onnxruntime", "openvino")
# Packages that each needs beside PyTorch, and the package's extra that installs them.
NEEDS = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
TELEMETRY = "openvino_telemetry"  # comes with OpenVINO
# A network as a function of a picture (1, 3, H, W), float32 in [0, 1], about [0, 1] again.
NetworkRunner = Callable[[Tensor], Tensor]


class _Lost:
    """What a forked process can't use: the threads stayed with its parent."""

    openvino = False


def resolve_backend(
    name: str, device: torch.device, dtype: torch.dtype, failed: Collection[str] = ()
) -> str:
    """Return the backend that a name stands for.

    ``auto`` is the fastest that is installed, as benchmarks/stylize.py measures them: on a CPU
    OpenVINO, then PyTorch if it computes in bfloat16, then onnxruntime; elsewhere PyTorch.

    Args:
        name: One of ``BACKENDS``.
        device: Where to compute.
        dtype: In what.
        failed: What ``auto`` is not to choose.

    Raises:
        ValueError: No such backend, one that is not installed, or not one for this device.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend is one of {', '.join(BACKENDS)}, found {name!r}")
    if name == "auto":
        order = ["torch"]
        if device.type == "cpu":
            is_reduced = dtype != torch.float32
            order = ["openvino", *(["torch"] if is_reduced else []), "onnxruntime", "torch"]
        return next(one for one in order if one not in failed and not _missing_packages(one))
    if name != "torch" and device.type != "cpu":
        raise ValueError(f"backend {name} runs on a CPU only, found device {str(device)!r}")
    if missing := _missing_packages(name):
        raise ValueError(f"backend {name} needs {' and '.join(missing)}: {install(EXTRAS[name])}")
    return name


def build_runner(
    name: str, network: StyleNetwork, device: torch.device, dtype: torch.dtype
) -> NetworkRunner:
    """Return a network as a function, safe to call from several threads.

    In bfloat16 the encoder stays float32 in all backends. Instance normalisation enlarges the
    little contrast of a plain sky: there, results in bfloat16 alone were 20 to 30 levels of 255
    away from float32's, and 1 to 3 with a float32 encoder.

    Args:
        name: As ``resolve_backend`` returns it.
        network: In eval mode, on ``device``.
        device: Where to compute.
        dtype: float32 or bfloat16; onnxruntime computes in float32 always.

    Raises:
        ValueError: The backend is installed but does not start.
    """
    if name == "torch":
        return _torch(network, device, dtype)
    builders = {"onnxruntime": _onnxruntime, "openvino": _openvino}
    try:
        return builders[name](network, device, dtype)
    except Exception as error:  # of another program's: any kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"backend {name} does not start ({reason}); try --backend torch"
        ) from error


@functools.cache
def warn_once(message: str) -> None:
    """Log a warning, unless this process has done so already."""
    log.warning("fast_style: %s", message)


def begin_in_fork() -> bool:
    """Have a process that was just forked compute in one thread; return if OpenVINO is lost.

    It is lost if the parent has used it, for its threads stay there. It is not freed: that would
    wait for them for ever.
    """
    torch.set_num_threads(1)
    if openvino_core.cache_info().currsize:
        never_free(openvino_core())
        openvino_core.cache_clear()
        _Lost.openvino = True
    return _Lost.openvino


def never_free(thing: object) -> None:
    """Keep an object until the process is gone, so that its destructor never runs."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _missing_packages(name: str) -> list[str]:
    return [package for package in NEEDS.get(name, ()) if find_spec(package) is None]


def _torch(network: StyleNetwork, device: torch.device, dtype: torch.dtype) -> NetworkRunner:
    @torch.no_grad()
    def run(image: Tensor) -> Tensor:
        is_exact = dtype == torch.float32
        with (
            torch.autocast(device.type, dtype, enabled=not is_exact),
            exact_float32(device) if is_exact else nullcontext(),
        ):
            result: Tensor = network(image)
        return result.float()

    return run


def _onnxruntime(network: StyleNetwork, device: torch.device, dtype: torch.dtype) -> NetworkRunner:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # errors only
    graph = portable_graph(network, value_range=1).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {INPUT: image.numpy()})[0])


@functools.cache
def openvino_core() -> Any:
    """Return OpenVINO's runtime, one for as long as the process lives.

    Its CPU plug-in lends the thread that loads it a stack for signal handlers, and takes it away
    where it is unloaded: in another thread, the next Ctrl-C ended in a segmentation fault.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: It does not start, or was used by the process that this one is forked from.
    """
    if _Lost.openvino:
        raise RuntimeError(
            "this process was forked from one that has used it; multiprocessing's start method "
            "spawn gives one that has not"
        )
    return import_openvino().Core()


def import_openvino() -> Any:
    """Return OpenVINO, without what would tell its makers over the internet that it is used.

    That starts a process, which hangs in a program with threads. OpenVINO works without the package
    that does it.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    blocked: dict[str, Any] = {TELEMETRY: None} if TELEMETRY not in sys.modules else {}
    sys.modules.update(blocked)  # Python's way to say that there is no such package
    try:
        import openvino
    finally:
        for name in blocked:
            sys.modules.pop(name, None)  # another thread may have been here
    return openvino


def _openvino(network: StyleNetwork, device: torch.device, dtype: torch.dtype) -> NetworkRunner:
    core = openvino_core()
    reduced = "bf16" if dtype == torch.bfloat16 else "f32"
    parts = [
        core.compile_model(
            core.read_model(graph.SerializeToString()),
            "CPU",
            {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"},
        )
        for graph, precision in zip(body_graphs(network), ("f32", reduced), strict=True)
    ]
    one_at_a_time = threading.Lock()  # each uses all cores, and its own memory

    def run(image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        missing = (0, -width % network.multiple, 0, -height % network.multiple)
        x = F.pad(normalized(image), missing, mode="reflect")
        values: list[npt.NDArray[np.float32]] = [x.numpy()]
        with one_at_a_time:
            for part in parts:
                found = part(values, share_inputs=True, share_outputs=False)
                values = [found[place] for place in range(len(found))]
        return denormalized(torch.from_numpy(values[0])[..., :height, :width])

    return run
