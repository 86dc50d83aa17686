"""A source of photographs: what all of them share, and how one is made from a configuration.

Each source is a class in a file of ``training/sources``, named after it. What is done with the
photographs, crops, their order, what is held back, is ``data.py``'s, the same for all.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from fast_style.system.messages import did_you_mean
from fast_style.system.named_classes import class_names, named_class
from fast_style.training import sources


class Source:
    """Where photographs come from. A source is a subclass with ``__len__`` and ``photograph``.

    Its parameters are keys of ``configs/data/NAME.yaml``. Of one called ``root``, a path, only the
    last part is written into the model.

    It is copied into the processes that decode, so it holds no open file or connection: those are
    opened where they are needed. It is built before a run is accepted, so what takes long waits
    until ``__len__`` is called.
    """

    def __len__(self) -> int:
        """Return how many photographs there are to train on.

        Raises:
            DataError: There is none, or they can't be found.
        """
        raise NotImplementedError

    def photograph(self, index: int) -> Path | bytes:
        """Return a photograph: its file, or what would be in the file.

        The same index gives the same photograph, in each process and each time: so a run that goes
        on is exactly as one that was not stopped.

        Args:
            index: From 0 to ``len(self) - 1``, in any order.

        Raises:
            PictureError: It can't be had; another is taken, as for one that can't be decoded.
        """
        raise NotImplementedError

    def label(self, index: int) -> str:
        """Return what messages call a photograph; its ending says its format, if it has one."""
        return f"photograph {index}"

    def identity(self, index: int) -> Hashable:
        """Return what two photographs have in common that are one: only one of them is used."""
        return id(self), index

    def validation(self) -> Source | None:
        """Return the photographs to validate on; none to hold some of these back."""
        return None

    def __str__(self) -> str:
        """Return what messages call the source."""
        return f"data.source={type(self).__module__.rpartition('.')[2]}"


def source_names() -> list[str]:
    """Return the names of the sources: those of the files in ``training/sources``."""
    return class_names(sources)


def source_class(name: Any) -> type[Source]:
    """Return the class of a source's name.

    Raises:
        ValueError: There is no such source.
    """
    names = source_names()
    if name not in names:
        meant = did_you_mean(str(name), names) or ";"
        raise ValueError(f"data.source: there is no {name!r}{meant} choose {', '.join(names)}")
    return named_class(sources, name, Source)


def source_keys(name: Any) -> set[str]:
    """Return the keys of the section ``data`` that belong to a source.

    Raises:
        ValueError: There is no such source.
    """
    return set(inspect.signature(source_class(name)).parameters)


def build_source(name: str, values: dict[str, Any]) -> Source:
    """Return a source from its name and its keys of the section ``data``.

    Raises:
        ValueError: There is no such source, it has other keys, or a value is out of its range.
    """
    design = source_class(name)
    parameters = inspect.signature(design).parameters
    if unknown := sorted(values.keys() - parameters.keys()):
        known = ", ".join(parameters)
        raise ValueError(f"data.source={name} has no {unknown[0]}; it has: {known}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in values:
            raise ValueError(f"data.source={name} needs data.{key}")
    return design(**values)
