"""A picture of the page: its file, and the words that go with it. The standard library alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """One figure of the page.

    Attributes:
        title: what is drawn.
        caption: what to look for.
        alt: what the picture shows, for who does not see it.
        data: a PNG or WebP file.
    """

    title: str
    caption: str
    alt: str
    data: bytes

    @property
    def media_type(self) -> str:
        """Of the file, by its first bytes."""
        return "image/webp" if self.data[8:12] == b"WEBP" else "image/png"
