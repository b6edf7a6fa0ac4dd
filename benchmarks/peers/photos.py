"""Photos to measure with: a folder of the caller's, or crops of the samples as shops, cameras and
phones save them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from PIL import Image, ImageOps

from .phone import ADOBE_RGB_SAMPLE, display_p3, exif_of_phone

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
CROPS_OF_EACH = 3
# The average bytes from which the photos of a folder count as those of a camera or a phone.
CAMERA_BYTES, PHONE_BYTES = 400_000, 1_500_000


@dataclass(frozen=True)
class Kind:
    """A kind of photos: how large they are on average, and what part of a run's images they get.

    The sizes are those of the catalogue and the camera photos of the project's first measurements,
    and those of common phones, which photos have in turn.
    """

    name: str
    sizes: tuple[tuple[int, int], ...]
    bytes: int
    share: float


CATALOGUE = Kind("catalogue", ((700, 700),), 177_000, 1.0)
CAMERA = Kind("camera", ((1680, 1250),), 616_000, 0.35)
PHONE = Kind("phone", ((4032, 3024), (4000, 3000), (3264, 2448)), 3_000_000, 0.06)
KINDS = (CATALOGUE, CAMERA, PHONE)
# Of these, every second photo is turned, and every third has a profile.
PHONE_TURNS = (1, 6, 1, 8)


@dataclass(frozen=True)
class Photos:
    """JPEG files of one kind."""

    kind: Kind
    files: tuple[bytes, ...]

    def described(self) -> str:
        """Say what they are, for the table's head."""
        pixels = mean(_pixels(data) for data in self.files)
        size = mean(map(len, self.files))
        return (
            f"{len(self.files)} {self.kind.name} photos of {size / 1e3:.0f} KB "
            f"and {pixels / 1e6:.2f} MP on average"
        )


def photos_of(folder: Path | None, only: str | None = None) -> Iterator[Photos]:
    """Yield the JPEG photos of a folder, or each kind made of the samples, in the order of KINDS."""
    if folder is None:
        for kind in KINDS:
            if only in (None, kind.name):
                yield Photos(kind, tuple(_made(kind)))
        return
    files = [
        path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in (".jpg", ".jpeg")
    ]
    if not files:
        raise SystemExit(f"There are no JPEG files in {folder}.")
    size = mean(map(len, files))
    kind = PHONE if size >= PHONE_BYTES else CAMERA if size >= CAMERA_BYTES else CATALOGUE
    yield Photos(kind, tuple(files))


def _made(kind: Kind) -> Iterator[bytes]:
    """Yield crops of each sample at the quality that comes nearest to the kind's bytes."""
    photos = 0
    for path in sorted(SAMPLES.iterdir()):
        if path.suffix not in (".jpg", ".png"):
            continue
        size = kind.sizes[photos // CROPS_OF_EACH % len(kind.sizes)]
        with Image.open(path) as sample:
            wide = mirrored(sample.convert("RGB"), size)
        for number in range(CROPS_OF_EACH):
            left, top = (
                (side - wanted) * number // max(1, CROPS_OF_EACH - 1)
                for side, wanted in zip(wide.size, size)
            )
            crop = wide.crop((left, top, left + size[0], top + size[1]))
            yield _saved_near(crop, kind.bytes, _metadata(photos, crop) if kind is PHONE else {})
            photos += 1


def _metadata(number: int, photo: Image.Image) -> dict[str, bytes]:
    """Return what a phone writes beside the pixels: EXIF, and a profile in every third photo."""
    metadata = {"exif": exif_of_phone(photo, PHONE_TURNS[number % len(PHONE_TURNS)])}
    if number % 3 == 0:
        with Image.open(SAMPLES / ADOBE_RGB_SAMPLE) as sample:
            adobe_rgb: bytes = sample.info["icc_profile"]
        metadata["icc_profile"] = display_p3() if number % 2 else adobe_rgb
    return metadata


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


def _saved_near(photo: Image.Image, wanted: int, metadata: dict[str, bytes]) -> bytes:
    """Return a JPEG at 4:2:0 of about this size in bytes, with a quality of 60 to 97."""
    low, high = 60, 97
    while low < high:
        middle = (low + high) // 2
        if len(_saved(photo, middle, metadata)) < wanted:
            low = middle + 1
        else:
            high = middle
    return _saved(photo, low, metadata)


def _saved(photo: Image.Image, quality: int, metadata: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality, subsampling="4:2:0", **metadata)
    return file.getvalue()


def _pixels(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        return image.width * image.height
