"""float32 and float64 where they are asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fast_style.system import precision
from fast_style.system.precision import double, exact_float32


def test_float64_on_the_cpu_where_the_device_has_none() -> None:
    class OnMps:
        device = torch.device("mps")

        def cpu(self) -> torch.Tensor:
            return torch.ones(3)

    assert double(OnMps()).dtype == torch.float64  # type: ignore[arg-type]
    assert double(torch.ones(3, device="meta")).device.type == "meta"


def float32_settings() -> list[object]:
    return [getattr(owner, name) for owner, name, _ in precision._float32_settings()]


def test_float32_is_exact_while_any_thread_wants_it() -> None:
    before = float32_settings()
    exact = [value for _, _, value in precision._float32_settings()]
    assert before != exact  # cuDNN's is TF32 unless told otherwise
    cuda = torch.device("cuda")

    def use(number: int) -> bool:
        with exact_float32(cuda), exact_float32(cuda):
            return float32_settings() == exact

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(200)))
    assert float32_settings() == before
    with pytest.raises(KeyboardInterrupt), exact_float32(cuda):
        raise KeyboardInterrupt
    assert float32_settings() == before
    with exact_float32(torch.device("cpu")):
        assert float32_settings() == before
