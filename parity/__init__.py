"""The instrument: bridges between the rungs, the float64 oracle, the gates and the certificate.

Importing this package imports nothing else; ``load_weights``, ``convert`` and ``load`` are loaded when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.bridges import convert, load, load_weights

    __version__: str

__all__ = ["__version__", "convert", "load", "load_weights"]


def __getattr__(name: str) -> Any:
    if name in ("convert", "load", "load_weights"):
        from parity import bridges

        return getattr(bridges, name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("leaf-ladder")
        except PackageNotFoundError:  # a checkout on the path, not installed: what the recorder runs from
            return "unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
