"""A further term of the loss: what all of them share, and how one is found by its name.

Each term is a class in a file of ``models/terms``, named after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from fast_style.models import terms
from fast_style.system.messages import did_you_mean
from fast_style.system.named_classes import class_names, named_class

# The parts that every loss has: a term of such a name would be mistaken for one.
OWN_PARTS = ("content", "style", "total_variation", "grid")


class Seen(NamedTuple):
    """Pictures, and what VGG16 sees in them.

    ``image`` is ``(N, 3, H, W)``, floating point, in [0, 1]. ``features`` has, by layer name,
    ``(N, C, H', W')`` after the ReLU, in float32 or in what VGG16 runs in.
    """

    image: Tensor
    features: Mapping[str, Tensor]


class Term(nn.Module):
    """A further term of the loss. A term is a subclass with a ``forward``.

    Args:
        painting: One painting, N = 1, with the features of ``layers``. A term that compares with
            it takes what it needs here, once, and keeps it with ``register_buffer``. Of several
            paintings each has a term of its own.
    """

    layers: ClassVar[tuple[str, ...]] = ()  # of VGG16, that the term looks at

    def __init__(self, painting: Seen) -> None:
        super().__init__()

    def forward(self, painted: Seen, photograph: Seen) -> Tensor:
        """Return the error of each picture, ``(N,)``, float32 or better, finite.

        Best 0 where the picture is perfect and about 1 where it is as wrong as an empty one: then
        its weight compares with those of the other terms.

        Args:
            painted: The pictures; gradients flow into them. Has the features of ``layers``.
            photograph: What they are of, of the same shape; no gradient flows into it.
        """
        raise NotImplementedError

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = False) -> None:
        """Keep a tensor: on the device of the loss, and in no checkpoint."""
        super().register_buffer(name, tensor, persistent)


def term_names() -> list[str]:
    """Return the names of the terms: those of the files in ``models/terms``."""
    return class_names(terms)


def term_class(name: Any) -> type[Term]:
    """Return the class of a term's name.

    Raises:
        ValueError: There is no such term, or it has the name of a part that every loss has.
    """
    names = term_names()
    if name not in names:
        meant = did_you_mean(str(name), names) or ";"
        raise ValueError(f"loss.terms: there is no {name!r}{meant} choose {', '.join(names)}")
    if name in OWN_PARTS:
        raise ValueError(f"loss.terms: every loss has a part {name!r}; give the term another name")
    return named_class(terms, name, Term)
