"""Keep what public ports were found to do as data, and make the page of it.

``python -m parity_tests.ports.public.record run NAME COMMIT`` examines the ports of ``certify_NAME.py``, whose package
must be importable, and keeps what was found in ``recorded.json``; ``... record page`` writes the page.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
PAGE = HERE.parents[2] / "docs" / "public-ports.md"
REPOSITORIES = {
    "denfed": ("denfed/leaf-audio-pytorch", "leaf_audio_pytorch"),
    "sarthak": ("SarthakYadav/leaf-pytorch", "leaf_pytorch"),
    "speechbrain": ("speechbrain/speechbrain", "speechbrain"),
    "cpjku": ("CPJKU/EfficientLEAF", "model"),
}
COMMAND = "leaf-ladder port check parity_tests/ports/public/certify_{file}.py"
# What a property is called in the table, by how a finding begins.
PROPERTIES = {
    "stage": "stages", "gradient": "gradients", "initial": "initial values", "parameters": "parameters of its own",
    "instances": "instances", "refusals": "inputs refused", "exception": "exceptions",
    "buffers": "parameters of its own", "conduct": "state", '"': "float64",
}  # fmt: skip
# For who has a checkpoint of the port: what follows from the findings, and holds for that checkpoint.
CHECKPOINTS = {
    "denfed/leaf-audio-pytorch": "The weights are the original's under other names. Frames lie earlier than the "
    "original's, as those of `leaf` do with centred padding. Two frontends in one process have trained one PCEN "
    "between them.",
    "SarthakYadav/leaf-pytorch": "Energies have a trained bias, `_pooling._bias`, 1 at the start, for which "
    "`og_leaf` has no place. Frames lie earlier than the original's.",
    "speechbrain/speechbrain": "Energies have a trained bias, `pooling._bias`, 1 at the start, for which `og_leaf` has "
    "no place. Frames lie earlier than the original's; training began from another band.",
    "CPJKU/EfficientLEAF": "Weights of its 1:1 port carry over to `og_leaf`, and no stage departs. Those of its `Leaf` "
    "and `EfficientLeaf` carry over to `leaf` and `efficientleaf`; their own PCEN loses digits.",
}


def record(file: str, commit: str) -> None:
    """Examine the ports of a file and keep what was found."""
    from parity.ports.certifying import EXAMPLES, diagnose
    from parity.ports.checking import described

    rows: list[dict[str, Any]] = []
    for port in described(HERE / f"certify_{file}.py"):
        began = time.perf_counter()
        found = diagnose(port, EXAMPLES, 0, f"parity_tests/ports/public/certify_{file}.py")
        print(found)
        rows.append({
            "repository": REPOSITORIES[file][0], "commit": commit, "port": port.name, "claims": port.claims,
            "verdict": found.verdict, "seconds": round(time.perf_counter() - began, 1),
            "findings": [
                {"where": f.where, "what": list(f.what), "example": f.example, "on": f.on} for f in found.findings
            ],
            "holds": found.holding, "float64": found.double, "not_covered": found.not_covered,
            "date": date.today().isoformat(), "command": f"{COMMAND.format(file=file)} --name {port.name!r}",
            "versions": {name: version(name) for name in ("torch", "numpy")},
        })  # fmt: skip
    kept = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else []
    others = [row for row in kept if row["repository"] != REPOSITORIES[file][0]]
    order = [name for name, _ in REPOSITORIES.values()]
    rows = sorted([*others, *rows], key=lambda row: order.index(row["repository"]))
    RECORDED.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def page(rows: list[dict[str, Any]]) -> str:
    """The page in Markdown."""
    lines = [
        "# Public ports of LEAF, examined", "",
        "What the public PyTorch ports do that the original, or the rung that they claim to be, does not. All was",
        "measured by the command that stands with it; the page is written from the recorded results",
        "(`python -m parity_tests.ports.public.record page`). The adapters are in",
        "[`parity_tests/ports/public`](../parity_tests/ports/public); to examine your own port:",
        "[certify-your-port.md](certify-your-port.md). No adapter names a training step that brings mu and sigma back",
        "into their limits, as Keras does after every update: the verdicts do not cover it.", "",
        "| port | claims | departs in | holds | float64 |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        departs = ", ".join(dict.fromkeys(_property(f["where"]) for f in row["findings"])) or "nothing"
        cells = [row["port"], f"`{row['claims']}`", departs, ", ".join(row["holds"]) or "none", row["float64"]]
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    for repository in dict.fromkeys(row["repository"] for row in rows):
        own = [row for row in rows if row["repository"] == repository]
        lines += ["", f"## {repository}", "", f"Commit `{own[0]['commit']}`.", "", CHECKPOINTS[repository]]
        for row in own:
            versions = ", ".join(f"{name} {number}" for name, number in row["versions"].items())
            lines += [
                "", f"### {row['port']}, as `{row['claims']}`", "",
                f"`{row['command']}`: {row['seconds']} s, {row['date']}, {versions}.", "",
                "| where | what | two values | cases |", "|---|---|---|---|",
            ]  # fmt: skip
            lines += [
                f"| {' | '.join(_cell(c) for c in (f['where'], '; '.join(f['what']), f['example'], f['on']))} |"
                for f in row["findings"]
            ]
            lines += ["", f"Not covered: {'; '.join(row['not_covered'])}."]
    return "\n".join([*lines, ""])


def _property(where: str) -> str:
    return next(name for begins, name in PROPERTIES.items() if where.startswith(begins))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> None:
    """See above."""
    if arguments[:1] == ["run"] and len(arguments) == 3:
        record(*arguments[1:])
    elif arguments == ["page"]:
        PAGE.write_text(page(json.loads(RECORDED.read_text(encoding="utf-8"))), encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
