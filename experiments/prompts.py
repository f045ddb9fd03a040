"""Spoken prompts of a telephone system as data: ``python -m experiments.prompts``.

Debian's packages ``asterisk-core-sounds-{en,es,fr,it,ru}-wav`` hold some hundred prompts at 8 kHz, every language by
one voice. Three tasks are laid out, as links to the installed files:

- ``language``: which of the five is spoken. Voice and language are told apart together, as each has one voice. A prompt
  is on one side of the split in all languages.
- ``word``: which digit or month is said, once by every voice in its language. The Italian voice, the one of a man, is
  held out for the test, and the Russian one for validation; what helps is that many of the words are cognates.
- ``spelling``: which of sixteen words of the radio alphabet is said, "alpha" or "tango". They are the same words in
  English, Spanish, French and Russian; the Italian voice spells with other ones. The French voice is held out for the
  test, and the Russian one for validation. By the names of their folders one speaker has the English and the Spanish
  voice, Allison.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

SOUNDS = Path("/usr/share/asterisk/sounds")
LANGUAGES = ("en", "es", "fr", "it", "ru")
PACKAGES = " ".join(f"asterisk-core-sounds-{language}-wav" for language in LANGUAGES)
NOT_SPOKEN = ("silence", "beep", "beeperr", "ascending-2tone", "descending-2tone", "tt-monkeys")
WORDS = (*(str(digit) for digit in range(10)), *(f"mon-{month}" for month in range(12)))  # months are much alike
SPELLING = tuple(f"{letter}_p" for letter in "abdehikloprtvwyz")  # of the others a language has a word of its own
SPELLERS = ("en", "es", "fr", "ru")


@dataclass(frozen=True)
class Words:
    """A task whose classes are words, each said once by every voice.

    Attributes:
        folder: of the prompts.
        names: of the words in it; where a language lacks one, its voice does not say it.
        languages: of the voices.
        held_out: side of the split by language; the others are in training.
    """

    folder: str
    names: tuple[str, ...]
    languages: tuple[str, ...]
    held_out: dict[str, str]


TASKS = {
    "word": Words("digits", WORDS, LANGUAGES, {"it": "test", "ru": "validation"}),
    "spelling": Words("phonetic", SPELLING, SPELLERS, {"fr": "test", "ru": "validation"}),
}


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
    """Make the tasks' folders below ``root``, and count their clips.

    Raises ValueError where the packages are not installed, or the folder holds something else already.
    """
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"folder={str(root)!r}: must be empty, or not there yet")
    counts = dict.fromkeys(("language", *TASKS), 0)
    for language in LANGUAGES:
        found = prompts(sounds, language)
        for name, path in found.items():
            _link(root / "language" / language / f"{name}.wav", path)
        counts["language"] += len(found)
        for task, made in TASKS.items():
            said = [word for word in made.names if f"{made.folder}/{word}" in found and language in made.languages]
            for word in said:
                _link(root / task / word / f"{language}.wav", found[f"{made.folder}/{word}"])
            counts[task] += len(said)
    for task, made in TASKS.items():
        lines = [f"{language},{made.held_out.get(language, 'train')}\n" for language in made.languages]
        (root / task / "split.csv").write_text("".join(lines), encoding="utf-8")
    return counts


def _link(where: Path, to: Path) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(to, where)


def main(
    folder: Annotated[Path, typer.Argument(help="a new folder")] = Path("prompts"),
    sounds: Annotated[Path, typer.Option(help="where the packages' files are")] = SOUNDS,
) -> None:
    """Lay out the tasks "language", "word" and "spelling" from Debian's installed prompts."""
    try:
        counts = lay_out(folder, sounds)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    for task, count in counts.items():
        typer.echo(f"{folder / task}: {count} clips")


if __name__ == "__main__":
    typer.run(main)
