"""What the options of ``trainer`` come to, by the machine."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from fast_style.training import hardware
from fast_style.training.hardware import (
    check_accelerator,
    check_compiler,
    resolve_memory_format,
    resolve_precision,
    vgg_dtype,
)


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_gpu_that_is_not_here(monkeypatch: pytest.MonkeyPatch, accelerator: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="PyTorch finds none here; trainer=auto takes what"):
        check_accelerator(accelerator)
    check_accelerator("auto")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    check_accelerator("gpu")


@pytest.mark.parametrize(
    ("accelerator", "cuda", "cuda_bfloat16", "cpu_bfloat16", "expected"),
    [
        ("auto", True, True, False, "bf16-mixed"),
        ("gpu", True, False, True, "32-true"),
        ("auto", False, False, True, "bf16-mixed"),
        ("cpu", True, True, False, "32-true"),
        ("cpu", True, False, True, "bf16-mixed"),
        ("mps", False, False, True, "32-true"),
    ],
)
def test_auto_precision_is_bfloat16_where_the_hardware_has_it(
    accelerator: str,
    cuda: bool,
    cuda_bfloat16: bool,
    cpu_bfloat16: bool,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: cuda_bfloat16)
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: cpu_bfloat16)
    assert resolve_precision("auto", accelerator) == expected


def test_a_given_precision_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_precision("16-mixed", "auto") == "16-mixed"
    assert resolve_precision("32-true", "auto") == "32-true"


@pytest.mark.parametrize(("accelerator", "cuda"), [("cpu", True), ("auto", False)])
def test_float16_is_for_gpus(accelerator: str, cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    with pytest.raises(ValueError, match="16-mixed needs a CUDA GPU; use auto"):
        resolve_precision("16-mixed", accelerator)


@pytest.mark.parametrize(
    ("precision", "accelerator", "cuda", "trusted"),
    [
        ("bf16-mixed", "cpu", True, False),
        ("bf16-mixed", "auto", False, False),
        ("bf16-mixed", "auto", True, True),
        ("32-true", "cpu", False, True),
    ],
)
def test_the_compiler_is_not_trusted_with_bfloat16_on_a_cpu(
    precision: str,
    accelerator: str,
    cuda: bool,
    trusted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    message = "trainer.compile=true: .* wrong gradients in bfloat16 on a CPU; leave it out .*"
    with nullcontext() if trusted else pytest.raises(ValueError, match=f"^{message}$"):
        check_compiler(precision, accelerator)


def test_an_unknown_precision() -> None:
    with pytest.raises(ValueError, match="one of auto, bf16-mixed, 16-mixed, 32-true, found 'f16'"):
        resolve_precision("f16", "cpu")


@pytest.mark.parametrize(
    ("given", "accelerator", "cuda", "expected"),
    [
        ("auto", "auto", True, torch.channels_last),
        ("auto", "cpu", True, torch.contiguous_format),
        ("auto", "auto", False, torch.contiguous_format),
        ("channels_last", "cpu", False, torch.channels_last),
        ("contiguous", "gpu", True, torch.contiguous_format),
    ],
)
def test_memory_format(
    given: str,
    accelerator: str,
    cuda: bool,
    expected: torch.memory_format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert resolve_memory_format(given, accelerator) == expected


def test_an_unknown_memory_format() -> None:
    with pytest.raises(ValueError, match="one of auto, contiguous, channels_last, found 'nhwc'"):
        resolve_memory_format("nhwc", "cpu")


def test_vgg_never_runs_in_float16() -> None:
    assert vgg_dtype("bf16-mixed") == torch.bfloat16
    assert vgg_dtype("16-mixed") == vgg_dtype("32-true") == torch.float32


def test_auto_precision_is_float32_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: True)
    assert resolve_precision("auto", "auto") == "32-true"  # Lightning takes MPS
