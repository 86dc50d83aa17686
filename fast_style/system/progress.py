"""How work that takes long says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], object]  # is told the share of the work that was done since the last
