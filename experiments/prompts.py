"""Spoken prompts of a telephone system as data: ``python -m experiments.prompts FOLDER``.

Debian's packages ``asterisk-core-sounds-{en,es,fr,it,ru}-wav`` hold some hundred prompts at 8 kHz, every language by
one voice. Two tasks are laid out, as links to the installed files:

- ``language``: which of the five is spoken. Voice and language are told apart together, as each has one voice. A prompt
  is on one side of the split in all languages.
- ``word``: which digit or month is said, once by every voice in its language. The Italian voice, the one of a man, is
  held out for the test, and the Russian one for validation; what helps is that many of the words are cognates.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

SOUNDS = Path("/usr/share/asterisk/sounds")
LANGUAGES = ("en", "es", "fr", "it", "ru")
PACKAGES = " ".join(f"asterisk-core-sounds-{language}-wav" for language in LANGUAGES)
NOT_SPOKEN = ("silence", "beep", "beeperr", "ascending-2tone", "descending-2tone", "tt-monkeys")
WORDS = (*(str(digit) for digit in range(10)), *(f"mon-{month}" for month in range(12)))  # months are much alike
HELD_OUT = {"it": "test", "ru": "validation"}


def prompts(sounds: Path, language: str) -> dict[str, Path]:
    """The spoken prompts of a language by name, "vm-sorry" or "digits/7".

    Raises ValueError where its package is not installed.
    """
    voices = sorted(path for path in sounds.glob(f"{language}_*_*") if path.is_dir() and not path.is_symlink())
    if not voices:
        raise ValueError(f"sounds={str(sounds)!r}: must hold {language}_*; apt-get install {PACKAGES}")
    found = {path.relative_to(voices[0]).with_suffix("").as_posix(): path for path in voices[0].rglob("*.wav")}
    return {name: path for name, path in sorted(found.items()) if name.split("/")[0] not in NOT_SPOKEN}


def lay_out(root: Path, sounds: Path = SOUNDS) -> dict[str, int]:
    """Make both tasks' folders below ``root``, and count their clips.

    Raises ValueError where the packages are not installed, or the folder holds something else already.
    """
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"folder={str(root)!r}: must be empty, or not there yet")
    counts = {"language": 0, "word": 0}
    sides = []
    for language in LANGUAGES:
        found = prompts(sounds, language)
        for name, path in found.items():
            _link(root / "language" / language / f"{name}.wav", path)
        words = [word for word in WORDS if f"digits/{word}" in found]
        for word in words:
            _link(root / "word" / word / f"{language}.wav", found[f"digits/{word}"])
        sides.append(f"{language},{HELD_OUT.get(language, 'train')}\n")
        counts["language"] += len(found)
        counts["word"] += len(words)
    (root / "word" / "split.csv").write_text("".join(sides), encoding="utf-8")
    return counts


def _link(where: Path, to: Path) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(to, where)


def main(
    folder: Annotated[Path, typer.Argument(help="a new folder")],
    sounds: Annotated[Path, typer.Option(help="where the packages' files are")] = SOUNDS,
) -> None:
    """Lay out the tasks "language" and "word" from Debian's installed prompts."""
    try:
        counts = lay_out(folder, sounds)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    for task, count in counts.items():
        typer.echo(f"{folder / task}: {count} clips")


if __name__ == "__main__":
    typer.run(main)
