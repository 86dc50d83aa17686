"""Time our training step against the classical one; 4 minutes.

    python benchmarks/train_step.py

Both have the same network, weights, photographs and batch.

- The classical step is that of pytorch/examples' fast_neural_style: eager float32, VGG16 to relu4_3
  for both pictures, doubling before the last convolutions, gradients through autograd's own Gram
  matrix, no term against the grid, Adam.
- Ours is the training step of `python -m fast_style.train`, with its network, precision, optimiser
  and keeping of freed memory.

Reading photographs, logging and checkpoints are left out of both. The two take turns step by step,
so that they meet the same machine. Each has a process of its own, so that neither works in memory
that the other has left.

Printed are the median step, images/s, GFLOP/s and their share of the rate of a large matrix product
in the same run, and the peak memory (on a CPU that of the whole process). `val loss` is our loss of
both, in float32, after the same steps, on photographs that are held back.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import psutil
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.optim import Optimizer

from fast_style.cli.loss_options import load_preset
from fast_style.images.reading import read_crop, read_style
from fast_style.models.layers import DoublingConv, ReflectionPad, ThinConv
from fast_style.models.losses import PerceptualLoss, total_variation
from fast_style.models.network import StyleNetwork, build_network
from fast_style.models.networks.johnson import Johnson
from fast_style.models.vgg import VGG_BLOCKS
from fast_style.system.devices import resolve_device
from fast_style.system.memory import keep_freed_memory
from fast_style.system.resources import asset, config_folder
from fast_style.system.threads import FreeCores
from fast_style.training.hardware import (
    check_compiler,
    resolve_memory_format,
    resolve_precision,
    vgg_dtype,
)
from fast_style.training.module import OPTIMIZERS, StyleModule
from fast_style.training.photographs import centre_box, find_photographs

SIDES = ("classical", "ours")
LOSS = "balanced"
MATRIX = 2048  # side of the matrix product that stands for the machine's peak
GPU_MATRIX = 8192


class Upsampled(nn.Module):
    """The classical form of a doubling convolution, with its weights."""

    def __init__(self, doubling: DoublingConv) -> None:
        super().__init__()
        self.weight, self.bias = doubling.weight, doubling.bias

    def forward(self, x: Tensor) -> Tensor:
        """Double, pad, convolve."""
        doubled = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.conv2d(F.pad(doubled, (1, 1, 1, 1), mode="reflect"), self.weight, self.bias)


def classical_network(network: StyleNetwork) -> StyleNetwork:
    """Return a copy made of PyTorch's own layers: it doubles before it convolves."""
    copy = deepcopy(network)
    assert isinstance(copy, Johnson)
    thin = copy.output[1]
    assert isinstance(thin, ThinConv)
    plain = nn.Conv2d(thin.in_channels, thin.out_channels, thin.kernel_size[0])
    plain.weight, plain.bias = thin.weight, thin.bias
    copy.output[1] = plain
    for module in copy.modules():
        for name, child in module.named_children():
            if isinstance(child, ReflectionPad):
                setattr(module, name, nn.ReflectionPad2d(child.padding))
    for upsample in copy.decoder:
        assert isinstance(upsample, nn.Sequential)
        assert isinstance(upsample[0], DoublingConv)
        upsample[0] = Upsampled(upsample[0])
    return copy


def classical_loss(loss: PerceptualLoss, stylized: Tensor, content: Tensor) -> Tensor:
    """Return the total of ``loss`` computed the classical way: all layers for both pictures."""
    found = vgg(loss, stylized)
    with torch.no_grad():
        expected = vgg(loss, content)
    total = loss.total_variation_weight * total_variation(stylized)
    for layer, weight in loss.content_weights.items():
        total = total + weight * relative(found[layer], expected[layer])
    for layer, weight in loss.style_weights.items():
        n, c, h, w = found[layer].shape
        f = found[layer].view(n, c, h * w)
        gram = f.bmm(f.transpose(1, 2)) / (c * h * w)
        total = total + weight * relative(gram, loss.style_gram(layer).expand_as(gram))
    return total


def vgg(loss: PerceptualLoss, image: Tensor) -> dict[str, Tensor]:
    """Return VGG16's activations to the deepest layer, in float32, channels first."""
    x = image * loss.vgg.factor + loss.vgg.offset
    features: dict[str, Tensor] = {}
    for block, (convolutions, _) in enumerate(VGG_BLOCKS, 1):
        x = F.max_pool2d(x, 2) if block > 1 else x
        for index in range(1, convolutions + 1):
            name = f"conv{block}_{index}"
            weight, bias = getattr(loss.vgg, f"{name}_weight"), getattr(loss.vgg, f"{name}_bias")
            x = F.relu(F.conv2d(x, weight.contiguous(), bias, padding=1))
            features[f"relu{block}_{index}"] = x
            if f"relu{block}_{index}" == loss.vgg.layers[-1]:
                return features
    return features


def relative(found: Tensor, expected: Tensor) -> Tensor:
    """Return the relative squared error per photograph, batch mean."""
    difference = (found - expected).flatten(1).square().sum(1)
    return (difference / expected.flatten(1).square().sum(1)).mean()


def step_gmac(network: nn.Module, loss: PerceptualLoss, size: int) -> float:
    """Return the multiplications of a step on one photograph, in thousand millions.

    The network's and VGG16's to the deepest layer forward and backward (its first convolution's
    weights need none backward, its picture does), and the content pass to its own layer; the
    doubling convolutions are counted at nine taps, as the classical step does them.
    """
    forward = {}
    done, channels, side = 0.0, 3, size
    for block, (convolutions, width) in enumerate(VGG_BLOCKS, 1):
        side = side // 2 if block > 1 else side
        for index in range(1, convolutions + 1):
            done += side * side * width * channels * 9 / 1e9
            channels = width
            forward[f"relu{block}_{index}"] = done
    content = max((forward[layer] for layer in loss.content_weights), default=0.0)
    # Backward: the network's twice (input and weights), VGG16's once (input only).
    return 3 * count_gmac(network, size) + 2 * forward[loss.vgg.layers[-1]] + content


def count_gmac(network: nn.Module, size: int) -> float:
    """Return the multiplications of a network on one picture, in thousand millions.

    The doubling convolutions are counted at nine taps.
    """
    counts: list[float] = []

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        counts.append(output[0].numel() * module.weight[0].numel() / 1e9)

    handles = [
        m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, size, size, device=next(network.parameters()).device))
    for handle in handles:
        handle.remove()
    return sum(counts)


def peak_gflops(dtype: torch.dtype, device: torch.device) -> float:
    """Return the rate of a large matrix product, the best of several."""
    side = MATRIX if device.type == "cpu" else GPU_MATRIX
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(8):
        wait(device)
        started_s = time.perf_counter()
        a @ b
        wait(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - started_s) / 1e9)
    return best


def peak_memory_gb(device: torch.device) -> float:
    """Return the most memory used until now, of a GPU or of this process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device) / 1e9)
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 1e9)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def wait(device: torch.device) -> None:
    """Wait until a GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def optimizer_defaults() -> dict[str, Any]:
    """Return the configuration's section of the optimiser."""
    section: dict[str, Any] = OmegaConf.to_container(  # type: ignore[assignment]
        OmegaConf.load(config_folder() / "train.yaml").optimizer
    )
    return section


class Step(NamedTuple):
    """One side: its network, how it gets from photographs to the loss, its optimiser."""

    network: StyleNetwork
    forward: Callable[[Tensor], Tensor]
    optimizer: Optimizer


def classical_step(network: StyleNetwork, loss: PerceptualLoss) -> Step:
    """Return the classical side."""
    network = classical_network(network)
    return Step(
        network,
        lambda batch: classical_loss(loss, network(batch), batch),
        OPTIMIZERS["adam"](network, optimizer_defaults()["learning_rate"]),
    )


def our_step(
    network: StyleNetwork, loss: PerceptualLoss, precision: str, options: argparse.Namespace
) -> Step:
    """Return our side, as the options and else the training's configuration have it."""
    device = loss.vgg.factor.device.type
    network.to(memory_format=resolve_memory_format(options.memory_format, device))
    if options.compile:
        check_compiler(precision, device)
        network.compile(dynamic=False)

    chosen = optimizer_defaults() | {"method": options.method}
    module = StyleModule(network, loss, **chosen, description={})

    def forward(batch: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            return module.objective_of(batch)[0]

    return Step(network, forward, OPTIMIZERS[options.method](network, module.learning_rate))


def serve(name: str, options: argparse.Namespace, pipe: Connection) -> None:
    """Take a step for each batch of photographs' numbers that comes; send its seconds.

    Then, for None, send what the process has to tell: ``peak_gflops``, ``memory_gb``, ``val_loss``,
    ``gmac`` of a step on one photograph.
    """
    is_tf32 = options.tf32 and name == "classical"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = is_tf32
    if name == "ours":
        keep_freed_memory()
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device.type) if name == "ours" else "32-true"
    description = OmegaConf.to_container(
        OmegaConf.load(config_folder() / "network" / f"{options.network}.yaml")
    )
    painting = read_style(asset("styles/starry.jpg"), 384)
    train, val = (
        torch.stack(
            [
                read_crop(path, options.size, centre_box)
                for path in find_photographs(asset("photos") / part)
            ]
        ).to(device)
        for part in ("train", "val")
    )
    loss = PerceptualLoss(painting, **load_preset(LOSS), dtype=vgg_dtype(precision)).to(device)
    torch.manual_seed(0)
    network = build_network(description).to(device)
    gmac = step_gmac(network, loss, options.size)
    if name == "ours":
        step = our_step(network, loss, precision, options)
    else:
        step = classical_step(network, loss)
    cores = FreeCores()
    for chosen in iter(pipe.recv, None):
        if options.adapt_threads:
            cores.adapt()
        batch = train[torch.tensor(chosen) % len(train)]
        wait(device)
        started_s = time.perf_counter()
        step.optimizer.zero_grad()
        step.forward(batch).backward()
        step.optimizer.step()
        wait(device)
        pipe.send(time.perf_counter() - started_s)
    memory_gb = peak_memory_gb(device)
    exact = PerceptualLoss(painting, **load_preset(LOSS)).to(device)
    with torch.no_grad():
        losses = [
            float(exact(step.network(photo).clamp(0, 1), photo).total)
            for photo in torch.split(val, 1)
        ]
    pipe.send(
        {
            "peak_gflops": peak_gflops(
                torch.bfloat16 if precision == "bf16-mixed" else torch.float32, device
            ),
            "memory_gb": memory_gb,
            "val_loss": statistics.mean(losses),
            "gmac": gmac,
        }
    )


def main() -> None:
    """Run the comparison and print it."""
    options = parse()
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device.type)
    pipes: dict[str, Connection] = {}
    context = get_context("spawn")
    for name in SIDES:
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, options, theirs), daemon=True).start()
        theirs.close()  # so that a side that dies is noticed
    order = torch.randperm(options.steps * options.batch, generator=torch.manual_seed(0))
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    results: dict[str, dict[str, float]] = {}
    try:
        for chosen in torch.split(order, options.batch):
            for name, pipe in pipes.items():
                pipe.send(chosen.tolist())
                seconds[name].append(pipe.recv())
        for name, pipe in pipes.items():
            pipe.send(None)
            results[name] = pipe.recv()
    except (EOFError, OSError):
        raise SystemExit(f"train_step: {name}'s process has ended before its time") from None
    gmac = results["ours"]["gmac"]
    print(
        f"{options.network}, {options.steps} steps of {options.batch} photographs at "
        f"{options.size} px on {device}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}; a step: {2 * gmac:.0f} GFLOP a photograph; ours in "
        f"{precision}{', compiled' * options.compile}"
    )
    columns = ("step s", "images/s", "GFLOP/s", "of peak", "GB", "val loss")
    print(f"{'':12}" + "".join(f"{column:>11}" for column in columns))
    skipped = options.steps // 5
    for name, found in results.items():
        median_s = statistics.median(seconds[name][skipped:])
        rate = 2 * gmac * options.batch / median_s
        print(
            f"{name:12}{median_s:11.3f}{options.batch / median_s:11.2f}{rate:11.0f}"
            f"{rate / found['peak_gflops']:11.0%}{found['memory_gb']:11.2f}"
            f"{found['val_loss']:11.3f}"
        )
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)][skipped:]
    print(f"ours is {statistics.median(ratios):.2f} times as fast (median of {len(ratios)} pairs)")
    peaks = [f"{name} {found['peak_gflops']:.0f}" for name, found in results.items()]
    print(f"matrix product, GFLOP/s: {', '.join(peaks)}")


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=50, help="of each (%(default)s)")
    parser.add_argument("--batch", type=int, default=2, help="photographs (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="px (%(default)s)")
    parser.add_argument("--network", default="johnson", help="johnson or slim (%(default)s)")
    parser.add_argument("--device", default="auto", help="(%(default)s)")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "bf16-mixed", "32-true"),
        help="of ours (%(default)s)",
    )
    parser.add_argument(
        "--method", default="muon", choices=OPTIMIZERS, help="optimiser of ours (%(default)s)"
    )
    parser.add_argument("--memory-format", default="auto", help="of ours (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile")
    parser.add_argument(
        "--tf32", action="store_true", help="the classical step with TF32, on a GPU"
    )
    parser.add_argument(
        "--adapt-threads", action="store_true", help="as a training does on a busy machine"
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
