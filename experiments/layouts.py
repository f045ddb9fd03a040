"""Data sets as people have them on disk: who says what in which file, and which side of the split it is on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.data import Clip, Skipped, clips_below, folder, looked_over, sides, split

EMOTIONS = ("NEU", "HAP", "SAD", "ANG", "FEA", "DIS")  # of CREMA-D
LANGUAGES = ("de", "en", "es", "fr", "it", "ru")  # of VoxForge


@dataclass(frozen=True)
class DataSet:
    """A data set, ready to be read.

    Attributes:
        root: its folder.
        classes: names, sorted.
        split: clips by "train", "validation" and "test".
        skipped: files that are left out.
    """

    root: Path
    classes: tuple[str, ...]
    split: dict[str, list[Clip]]
    skipped: list[Skipped]


def speech_commands(root: Path) -> list[Clip]:
    """``WORD/SPEAKER_nohash_N.wav``; the group is the speaker. Folders that begin with ``_`` hold no words."""

    def labelled(path: Path) -> tuple[str, str] | None:
        word, speaker = path.parts[0], path.stem.partition("_nohash_")[0]
        return None if word.startswith("_") else (word, speaker)

    return clips_below(root, labelled)


def crema_d(root: Path) -> list[Clip]:
    """``AudioWAV/ACTOR_SENTENCE_EMOTION_LEVEL.wav``; the class is the emotion, the group the actor."""

    def labelled(path: Path) -> tuple[str, str] | None:
        parts = path.stem.split("_")
        return (parts[2], parts[0]) if len(parts) == 4 and parts[2] in EMOTIONS else None

    return clips_below(root, labelled)


def voxforge(root: Path) -> list[Clip]:
    """``LANGUAGE/SPEAKER-DATE-ID/wav/file``, or ``SPEAKER-DATE-ID_LANGUAGE/file`` as the published code leaves it.

    The group is the speaker; all who are called anonymous are one, as nothing tells them apart.
    """

    def labelled(path: Path) -> tuple[str, str] | None:
        first = path.parts[0]
        name, _, language = first.rpartition("_")
        if name and language.lower() in LANGUAGES:
            return language.lower(), name.split("-")[0]
        if first.lower() in LANGUAGES and len(path.parts) > 2:
            return first.lower(), path.parts[1].split("-")[0]
        return None

    return clips_below(root, labelled)


LAYOUTS: dict[str, Callable[[Path], list[Clip]]] = {
    "folder": folder,
    "speech-commands": speech_commands,
    "crema-d": crema_d,
    "voxforge": voxforge,
}


def data_set(root: Path, layout: str = "folder", seed: int = 0) -> DataSet:
    """Find, look over and split.

    A file ``split.csv`` in the root, with lines ``GROUP,SIDE``, says the side of every group. Speech Commands' own
    lists, ``validation_list.txt`` and ``testing_list.txt``, are followed. Otherwise the split is drawn by the seed.

    Raises ValueError for an unknown layout, a folder without classes, or a side of the split without clips.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r}: must be one of {tuple(LAYOUTS)}")
    clips, skipped = looked_over(LAYOUTS[layout](root))
    table = root / "split.csv"
    if table.is_file():
        lines = [line.rsplit(",", 1) for line in table.read_text(encoding="utf-8").splitlines() if line]
        named = {group: side for group, side in lines}
        if unknown := sorted({clip.group for clip in clips} - set(named)):
            raise ValueError(f"{table}: must have a line for the group {unknown[0]!r}")
        divided = sides(clips, named)
    elif layout == "speech-commands" and (root / "testing_list.txt").is_file():
        divided = _listed(root, clips)
    else:
        divided = split(clips, seed)
    classes = tuple(sorted({clip.label for clip in clips}))
    if missing := set(classes) - {clip.label for clip in divided["train"]}:
        raise ValueError(f"data={str(root)!r}: training must have clips of every class, has none of {sorted(missing)}")
    return DataSet(root, classes, divided, skipped)


def _listed(root: Path, clips: list[Clip]) -> dict[str, list[Clip]]:
    lists = {"validation": "validation_list.txt", "test": "testing_list.txt"}
    side = {
        root / line: name for name, file in lists.items() for line in (root / file).read_text(encoding="utf-8").split()
    }
    out: dict[str, list[Clip]] = {"train": [], "validation": [], "test": []}
    for clip in sorted(clips):
        out[side.get(clip.path, "train")].append(clip)
    return out
