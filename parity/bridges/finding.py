"""A frontend in what is put around modules: those that compute the same are taken off, of others it is said where."""

from __future__ import annotations

from typing import Any

from parity.rungs import Rung, rung_of

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


def _is_frontend(module: Any) -> bool:
    try:
        rung_of(module)
    except TypeError:
        return False
    return True
