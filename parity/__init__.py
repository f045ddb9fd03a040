"""The instrument that certifies each rung of the ladder against the one below, and carries weights between them.

Importing this package imports nothing else; a public name is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.ports.certifying import certify
    from parity.ports.port import Port
    from parity.report.certificate import Certificate
    from parity.weights.convert_module import convert
    from parity.weights.load_weights import load_weights
    from parity.weights.stored import load

    __version__: str

__all__ = ["Certificate", "Port", "__version__", "certify", "convert", "load", "load_weights"]

_PUBLIC = {
    "Certificate": "parity.report.certificate",
    "Port": "parity.ports.port",
    "certify": "parity.ports.certifying",
    "convert": "parity.weights.convert_module",
    "load": "parity.weights.stored",
    "load_weights": "parity.weights.load_weights",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(_PUBLIC[name]), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("leaf-ladder")
        except PackageNotFoundError:  # a checkout on the path, not installed: what the recorder runs from
            return "unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
