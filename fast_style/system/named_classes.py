"""Classes that are found by their name: each is in a file of a package, called as it is named."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def class_names(package: ModuleType) -> list[str]:
    """Return the names of the classes in a package: those of its files, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def named_class(package: ModuleType, name: str, base: type[T]) -> type[T]:
    """Return the class of ``base`` that the file ``name`` of a package defines.

    Args:
        package: Its files have a class each.
        name: One of ``class_names``.
        base: What the class derives from.
    """
    module = importlib.import_module(f"{package.__name__}.{name}")
    return next(
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    )
