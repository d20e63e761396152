"""Long lists in pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

SIZE = 25
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Paged(Generic[T]):
    """A page of a list: `shown` of `total`, on page `page` of `pages`."""

    shown: Sequence[T]
    page: int
    pages: int
    total: int


def paged(found: Sequence[T], page: int, size: int = SIZE) -> Paged[T]:
    """A page of a list, the nearest one where there is none of that number."""
    pages = max(1, -(-len(found) // size))
    page = min(max(page, 1), pages)
    return Paged(found[(page - 1) * size : page * size], page, pages, len(found))
