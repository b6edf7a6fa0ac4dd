"""Photos to measure with: a folder of the caller's, or crops of the samples in two usual sizes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from PIL import Image, ImageOps

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
CROPS_OF_EACH = 3
# From so many bytes on average the photos of a folder are judged as camera photos.
CAMERA_BYTES = 400_000


@dataclass(frozen=True)
class Kind:
    """A kind of photos: how large they are on average, and what part of a run's images they get.

    The sizes are those of the catalogue and the camera photos of the project's first measurements.
    """

    name: str
    size: tuple[int, int]
    bytes: int
    share: float


CATALOGUE = Kind("catalogue", (700, 700), 177_000, 1.0)
CAMERA = Kind("camera", (1680, 1250), 616_000, 0.35)


@dataclass(frozen=True)
class Photos:
    """JPEG files of one kind."""

    kind: Kind
    files: tuple[bytes, ...]

    def told(self) -> str:
        """Say what they are, for the table's head."""
        pixels = mean(_pixels(data) for data in self.files)
        size = mean(map(len, self.files))
        return (
            f"{len(self.files)} {self.kind.name} photos of {size / 1e3:.0f} KB "
            f"and {pixels / 1e6:.2f} MP on average"
        )


def photos_of(folder: Path | None) -> list[Photos]:
    """Return the JPEG photos of a folder, or both kinds made of the samples."""
    if folder is None:
        return [Photos(kind, tuple(_made(kind))) for kind in (CATALOGUE, CAMERA)]
    files = [
        path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in (".jpg", ".jpeg")
    ]
    if not files:
        raise SystemExit(f"There are no JPEG files in {folder}.")
    kind = CAMERA if mean(map(len, files)) >= CAMERA_BYTES else CATALOGUE
    return [Photos(kind, tuple(files))]


def _made(kind: Kind) -> Iterator[bytes]:
    """Yield crops of each sample at the quality that comes nearest to the kind's bytes."""
    for path in sorted(SAMPLES.iterdir()):
        if path.suffix not in (".jpg", ".png"):
            continue
        with Image.open(path) as sample:
            wide = mirrored(sample.convert("RGB"), kind.size)
        for number in range(CROPS_OF_EACH):
            left, top = (
                (side - wanted) * number // max(1, CROPS_OF_EACH - 1)
                for side, wanted in zip(wide.size, kind.size)
            )
            crop = wide.crop((left, top, left + kind.size[0], top + kind.size[1]))
            yield _saved_near(crop, kind.bytes)


def mirrored(photo: Image.Image, least: tuple[int, int]) -> Image.Image:
    """Return the photo continued by its mirror images, so that its details stay fine.

    It is larger than `least` on both sides, by a photo's width and height.
    """
    columns, rows = (wanted // side + 2 for wanted, side in zip(least, photo.size))
    wide = Image.new("RGB", (columns * photo.width, rows * photo.height))
    for row in range(rows):
        for column in range(columns):
            part = ImageOps.mirror(photo) if column % 2 else photo
            part = ImageOps.flip(part) if row % 2 else part
            wide.paste(part, (column * photo.width, row * photo.height))
    return wide


def _saved_near(photo: Image.Image, wanted: int) -> bytes:
    """Return a JPEG at 4:2:0 of about so many bytes, of quality 60 to 97."""
    low, high = 60, 97
    while low < high:
        middle = (low + high) // 2
        if len(_saved(photo, middle)) < wanted:
            low = middle + 1
        else:
            high = middle
    return _saved(photo, low)


def _saved(photo: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def _pixels(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        return image.width * image.height
