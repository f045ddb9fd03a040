"""Find the frontend that a PyTorch or Keras model is, is put around, or has inside."""

from __future__ import annotations

import re
from typing import Any

from parity.adapters.rungs import Rung, rung_of

# what computes the same as the module that this attribute holds: torch.compile's and the two for several devices
WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def find_frontend(module: Any) -> tuple[Rung, Any]:
    """Find a frontend's rung, and itself without what ``torch.compile`` or PyTorch's data parallelism puts around it.

    A module of no rung is refused with a TypeError, which says where frontends are in it.
    """
    module = _unwrap(module)
    try:
        return rung_of(module), module
    except TypeError as error:
        found = _list_frontends(module) if hasattr(module, "named_modules") and not isinstance(module, type) else []
        if not found:
            raise
        raise TypeError(
            f"{error}; it holds frontends at {found}: give one, module.get_submodule({found[0]!r})"
        ) from None


def find_part(module: Any, scope: str) -> Any:
    """Find the part of a PyTorch or Keras model that a path of attributes, indices or layers' names leads to."""
    part = module
    for name in re.split("[/.]", scope.strip("/")) if scope.strip("/") else ():
        part = _find_child(part, name)
        if part is None:
            found = [at.replace(".", "/") for at in _list_frontends(module)]
            raise ValueError(
                f"scope={scope!r}: {type(module).__qualname__} has no part {name!r} there; "
                f"frontends are at {found or 'none that can be told'}"
            )
    return part


def _unwrap(module: Any, wanted: str = "") -> Any:
    """Take off wrappers, except one whose attribute is the ``wanted`` part itself."""
    while (inside := WRAPPERS.get(type(module).__name__)) and hasattr(module, inside) and inside != wanted:
        module = getattr(module, inside)
    return module


def _find_child(part: Any, name: str) -> Any:
    """Find an attribute, the element of a list, or the layer of a name; None for none."""
    part = _unwrap(part, name)
    own = getattr(part, "_modules", {}).get(name) or getattr(part, name, None)
    if own is None and name.isdigit() and isinstance(part, (list, tuple)) and int(name) < len(part):
        own = part[int(name)]
    if own is None:
        own = next((layer for layer in getattr(part, "layers", ()) if getattr(layer, "name", None) == name), None)
    return own


def _list_frontends(module: Any) -> list[str]:
    """List where a PyTorch or Keras model holds frontends, by their dotted paths or layers' names."""
    layers = ((layer.name, layer) for layer in getattr(module, "layers", ()))
    found = []
    for name, part in module.named_modules() if hasattr(module, "named_modules") else layers:
        try:
            rung_of(part)
        except TypeError:
            continue
        found.append(name)
    return [name for name in found if name]
