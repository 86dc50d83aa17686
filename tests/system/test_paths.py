"""Paths as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fast_style.system.paths import user_path


@pytest.mark.parametrize("name", ["s3://bucket/x.png", "HTTP://host/x", "gs://b", "file:///a/b"])
def test_an_address_is_no_path(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is an address"):
        user_path(name)


@pytest.mark.parametrize("name", ["C://x", "C:/x", "a//b", "s3:/x", "./s3://x", "://x", "a b://x"])
def test_a_path_that_is_like_an_address(name: str) -> None:
    assert user_path(name) == Path(name)
