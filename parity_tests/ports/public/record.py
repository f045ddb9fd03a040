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

from parity.adapters.layouts import PUBLIC

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
SPOKEN = HERE / "speech.json"
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
    "buffers": "parameters of its own", "conduct": "state", "modes": "state", '"': "float64",
}  # fmt: skip
# How sentences begin that say of a stage that it is the right function.
DIGITS = ("loses digits", "rounds more")


def record(file: str, commit: str) -> None:
    """Examine the ports of a file and keep what was found."""
    from parity.ports.certifying import EXAMPLES, described, diagnose

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
            "holds": found.holding, "float64": found.double, "training": found.trained,
            "not_covered": found.not_covered,
            "date": date.today().isoformat(), "command": f"{COMMAND.format(file=file)} --name {port.name!r}",
            "versions": {name: version(name) for name in ("torch", "numpy")},
        })  # fmt: skip
    kept = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else []
    others = [row for row in kept if row["repository"] != REPOSITORIES[file][0]]
    order = [name for name, _ in REPOSITORIES.values()]
    rows = sorted([*others, *rows], key=lambda row: order.index(row["repository"]))
    RECORDED.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def page(rows: list[dict[str, Any]], spoken: dict[str, Any]) -> str:
    """The page in Markdown, of what was recorded of the ports and of what they make of speech."""
    lines = [
        "# Public ports of LEAF, examined", "",
        "What the public PyTorch ports do that the original, or the rung that they claim to be, does not. All was",
        "measured by the command that stands with it; the page is written from the recorded results",
        "(`python -m parity_tests.ports.public.record page`). The adapters are in",
        "[`parity_tests/ports/public`](../parity_tests/ports/public); to examine your own port:",
        "[certify-your-port.md](certify-your-port.md).", "",
        "| port | claims | departs in | holds | float64 | training |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        departs = ", ".join(dict.fromkeys(_property(f["where"]) for f in row["findings"])) or "nothing"
        cells = [row["port"], f"`{row['claims']}`", departs, ", ".join(row["holds"]) or "none", row["float64"]]
        cells.append(row["training"])
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    lines += _speech(spoken)
    for repository in dict.fromkeys(row["repository"] for row in rows):
        own = [row for row in rows if row["repository"] == repository]
        lines += ["", f"## {repository}", "", f"Commit `{own[0]['commit']}`.", "", _checkpoints(own)]
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


def _speech(spoken: dict[str, Any]) -> list[str]:
    """The table of the distances on speech."""
    clips = ", ".join(sorted({f"`{row['clip']}`" for row in spoken.values()}))
    lines = [
        "", "## On speech", "",
        f"How far a fresh port is from the rung that it claims to be, with the same parameters, on {clips}: the root",
        "mean square of the difference, of the rung's own, and the largest difference, of the rung's largest value.",
        "Wrapped is `parity.load(path, wrap=True)`, which adds the port's padding and its bias to the rung.",
        "`python -m parity_tests.ports.public.speech` measures it.", "",
        "| port | rung | as it is: rms | largest | frames of both | wrapped: rms | largest | frames of both |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in spoken.items():
        cells = [name, f"`{row['claims']}`"]
        for way in ("as it is", "wrapped"):
            found = row.get(way)
            cells += [f"{found['rms']:g}", f"{found['largest']:g}", "/".join(map(str, found["frames"]))] if found else [
                "", "", ""
            ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _checkpoints(rows: list[dict[str, Any]]) -> str:
    """Say what someone who has a checkpoint must know: what follows from the findings and holds for it."""
    port = PUBLIC.get(rows[0]["repository"])
    out = []
    if port is not None and port.bias:
        out.append(f"Energies have a trained bias, `{port.bias}`, for which no rung has a place.")
    findings = [finding for row in rows for finding in row["findings"]]
    texts = [text for finding in findings for text in finding["what"]]
    if moved := [text for text in texts if text.startswith("frames lie")]:
        out.append(f"{moved[0].capitalize()} against the original's.")
    if any(finding["where"] == "instances" for finding in findings):
        out.append("Frontends of one process have trained one PCEN between them.")
    if any(finding["where"] == "initial values" for finding in findings):
        out.append("Training began from other values than the rung's.")
    for row in rows:
        said = [f["what"] for f in row["findings"] if f["where"].startswith("stage")]
        if all(text.startswith(DIGITS) for what in said for text in what):
            digits = ", but for digits that it loses" if said else ""
            out.append(f"Weights of {row['port']} carry over to `{row['claims']}`: no stage departs{digits}.")
    if port is not None:
        out.append("`parity.load(path, wrap=True)` makes `og_leaf` with the padding and the bias of this port.")
    return " ".join(out)


def _property(where: str) -> str:
    return next(name for begins, name in PROPERTIES.items() if where.startswith(begins))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> None:
    """See above."""
    if arguments[:1] == ["run"] and len(arguments) == 3:
        record(*arguments[1:])
    elif arguments == ["page"]:
        rows, spoken = (json.loads(path.read_text(encoding="utf-8")) for path in (RECORDED, SPOKEN))
        PAGE.write_text(page(rows, spoken), encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
