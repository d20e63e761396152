"""Names of a package that are imported when they are first asked for.

A package shows what its modules offer, and a command needs few of them: what only looks must not wait for
what counts and trains. It imports names `if TYPE_CHECKING`, and has `__getattr__ = late(__name__)` else.
No name may be that of a module beside it: who imports that module first would find it in the name's place.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module


def late(package: str) -> Callable[[str], object]:
    """The `__getattr__` of a package that finds what its `__init__` imports `if TYPE_CHECKING`."""

    def find(name: str) -> object:
        places = _places(package)
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, its_name = places[name]
        found = getattr(import_module(module), its_name)
        setattr(sys.modules[package], name, found)
        return found

    return find


@cache
def _places(package: str) -> dict[str, tuple[str, str]]:
    """Module of each name, and its name there, as the text of the package's `__init__` has them."""
    spec = sys.modules[package].__spec__
    source = spec.loader.get_source(package) if spec else ""  # type: ignore[union-attr]
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    imports = [one for block in blocks for one in block.body if isinstance(one, ast.ImportFrom)]
    return {
        alias.asname or alias.name: (str(one.module), alias.name) for one in imports for alias in one.names
    }
