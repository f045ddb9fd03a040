"""Record a state dict of each public port, an input and the port's output, for whoever has not the port.

``python -m parity_tests.ports.public.weights NAME COMMIT`` writes ``weights/*.npz`` of the ports of
``certify_NAME.py``, whose package must be importable, and what they are into ``weights/recorded.json``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from parity.cases.case import Case
from parity.oracle.config import LeafConfig
from parity.ports.certifying import described
from parity_tests.ports.public.record import REPOSITORIES

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights"
RECORDED = WEIGHTS / "recorded.json"
STATE = "state_dict."  # before a key of the state dict: where a reader finds one frontend
LENGTHS = {"odd": 6.0, "even": 5.95}  # ms: windows of 97 and 96 samples at 16 kHz
# The port of each file that holds any width, and the windows that it has.
PORTS = {
    "denfed": ("odd", "even"), "sarthak": ("odd", "even"), "speechbrain": ("odd", "even"),
    "efficientleaf-og with options": ("odd",), "efficientleaf-leaf": ("odd",), "efficientleaf-published": ("odd",),
}  # fmt: skip


def record(file: str, commit: str) -> None:
    """Write a file of arrays for each port and window."""
    import torch

    from parity.ports.examination import Examination

    WEIGHTS.mkdir(exist_ok=True)
    kept: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    for port in described(HERE / f"certify_{file}.py"):
        for window in PORTS.get(port.name, ()):
            config = port.held(LeafConfig(n_filters=4, window_len=LENGTHS[window], window_stride=2.5))
            case = Case(config, "trained", "noise", 700, 1, 1.0, seed=15)
            examination = Examination(port)
            examination.prepare()  # finds the axes of the output
            adapter = examination.adapter
            module = adapter.build(config)
            adapter.write(module, case.variables())
            rng = np.random.default_rng(15)
            with torch.no_grad():
                for key in adapter.not_carried(module):
                    tensor = module.inner.get_parameter(key)
                    tensor.copy_(torch.as_tensor(rng.uniform(0.5, 1.5, tuple(tensor.shape))))
            x = case.input()
            name = f"{port.name.split()[0]}-{window}"
            np.savez_compressed(
                WEIGHTS / f"{name}.npz", input=x, output=adapter.output(module, x),
                **{STATE + key: value.numpy() for key, value in module.inner.state_dict().items()},
            )  # fmt: skip
            kept[name] = {
                "repository": REPOSITORIES[file][0], "commit": commit, "port": port.name, "claims": port.claims,
                "groups": dict(port.groups), "config": asdict(config), "date": date.today().isoformat(),
                "versions": {package: version(package) for package in ("torch", "numpy")},
            }  # fmt: skip
    RECORDED.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    record(*sys.argv[1:])
