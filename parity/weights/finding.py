"""A frontend in what is put around modules: those that compute the same are taken off, of others it is said where."""

from __future__ import annotations

import re
from typing import Any

from parity.adapters.rungs import Rung, rung_of

# what computes the same with the module that this attribute holds: torch.compile's and the two for several devices
AROUND = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def frontend_of(module: Any) -> tuple[Rung, Any]:
    """A frontend's rung and itself, without what ``torch.compile`` or PyTorch's data parallelism puts around it.

    Raises:
        TypeError: it belongs to no rung; where it is a PyTorch module that holds some that do, says where.
    """
    while (inside := AROUND.get(type(module).__name__)) and hasattr(module, inside):
        module = getattr(module, inside)
    try:
        return rung_of(module), module
    except TypeError as error:
        if not hasattr(module, "named_modules"):
            raise
        found = [name for name, part in module.named_modules() if name and _is_frontend(part)]
        if not found:
            raise
        raise TypeError(
            f"{error}; it holds frontends at {found}: give one, module.get_submodule({found[0]!r})"
        ) from None


def part_of(module: Any, scope: str) -> Any:
    """The part of a PyTorch or Keras model that a path of attributes, indices or layers' names leads to.

    Raises:
        ValueError: there is no such part; names where frontends are.
    """
    part = module
    for name in re.split("[/.]", scope.strip("/")) if scope.strip("/") else ():
        while (inside := AROUND.get(type(part).__name__)) and hasattr(part, inside) and name != inside:
            part = getattr(part, inside)
        part = _child(part, name)
        if part is None:
            found = [at for at, inner in _parts(module) if at and _is_frontend(inner)]
            raise ValueError(
                f"scope={scope!r}: {type(module).__qualname__} has no part {name!r} there; "
                f"frontends are at {found or 'none that can be told'}"
            )
    return part


def _child(part: Any, name: str) -> Any:
    """An attribute that is a module or a layer, an element of a list of them, or the layer of a name; None for none."""
    own = getattr(part, "_modules", {}).get(name) or getattr(part, name, None)
    if own is None and name.isdigit() and isinstance(part, (list, tuple)) and int(name) < len(part):
        own = part[int(name)]
    if own is None:
        own = next((layer for layer in getattr(part, "layers", ()) if getattr(layer, "name", None) == name), None)
    return own


def _parts(module: Any) -> list[tuple[str, Any]]:
    """Paths and parts of a model, as far as they can be listed."""
    if hasattr(module, "named_modules"):
        return [(path.replace(".", "/"), part) for path, part in module.named_modules()]
    return [(layer.name, layer) for layer in getattr(module, "layers", ())]


def _is_frontend(module: Any) -> bool:
    try:
        rung_of(module)
    except TypeError:
        return False
    return True
