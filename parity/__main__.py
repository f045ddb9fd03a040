"""``python -m parity``: the same as the ``leaf-ladder`` command."""

from __future__ import annotations

from parity.cli import app

if __name__ == "__main__":
    app(prog_name="leaf-ladder")
