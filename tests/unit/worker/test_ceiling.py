"""The limit of memory: what goes beyond it fails one image, with a code of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imgcompress.worker.process import OTHER_THREADS, limit_memory

from tests.support.images import animated, cutout, encoded, photo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts so")

ROOT = Path(__file__).parents[3]
SIZE = (2000, 1500)
LARGE = {
    # The JPEG engine needs so little that a smaller one would fit at once.
    "JPEG": lambda: encoded(photo().resize((4000, 3000)), "JPEG"),
    "progressive JPEG": lambda: encoded(photo().resize(SIZE), "JPEG", progressive=True),
    "PNG": lambda: encoded(cutout().resize(SIZE), "PNG", compress_level=1),
    "WebP": lambda: encoded(photo().resize(SIZE), "WEBP", method=0),
    "GIF": lambda: encoded(photo().resize(SIZE), "GIF"),
    "GIF animation": lambda: animated(
        "GIF", [photo(300, 200).rotate(10 * number) for number in range(50)]
    ),
    "TIFF": lambda: encoded(photo().resize(SIZE), "TIFF", compression="tiff_lzw"),
    "BMP": lambda: encoded(photo().resize(SIZE), "BMP"),
}
# Compresses the file with ever more memory, and a small photo after each failure.
GROW = """if True:
    import resource, sys
    from pathlib import Path
    from benchmarks.verdicts import resident
    from imgcompress.errors import ImageError
    from imgcompress.imaging import CompressOptions, compress
    from tests.support.images import encoded, photo

    data = Path(sys.argv[1]).read_bytes()
    small = encoded(photo(), "JPEG", quality=95)
    compress(small, CompressOptions())
    kept = []
    for room in range(4, 250, 6):
        taken = int(resident("self", "VmData"))
        resource.setrlimit(resource.RLIMIT_DATA, (taken + room << 20, -1))
        try:
            print(compress(data, CompressOptions()).outcome)
            break
        except ImageError as error:
            kept.append(error)  # As the results of a slice are, until they are written.
            print(error.code)
            resource.setrlimit(resource.RLIMIT_DATA, (taken + 32 << 20, -1))
            assert compress(small, CompressOptions()).outcome == "target_met"
"""
IN_CODEC_PROCESS = """if True:
    import sys
    from pathlib import Path
    from imgcompress.errors import ImageError
    from imgcompress.worker.process import limit_memory
    from imgcompress.imaging import CompressOptions
    from imgcompress.imaging.codec_process import CodecProcess

    limit_memory(256 << 20, concurrency=1)
    codec = CodecProcess(timeout=60)
    for path in sys.argv[1:]:
        try:
            print(codec.compress(Path(path).read_bytes(), CompressOptions()).outcome)
        except ImageError as error:
            print(error.code)
    codec.close()
"""


def _printed(script: str, *arguments: object, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        env={"PYTHONPATH": str(ROOT)} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", LARGE)
def test_a_lack_of_memory_is_never_taken_for_damage(name: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(LARGE[name]())
    *failures, last = _printed(GROW, tmp_path / "image")
    assert failures and set(failures) == {"out_of_memory"}
    assert last in ("target_met", "floor_reached", "already_small")


def test_an_image_beyond_the_memory_limit_fails_alone_in_the_codec_process(tmp_path: Path) -> None:
    for name, data in (
        ("small", encoded(photo(), "JPEG", quality=95)),
        ("large", encoded(Image.new("RGBA", (6900, 6900)), "PNG")),
        ("grows", b"\xff\xd8\xff\xe0HARM:GROW"),
    ):
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in ("small", "large", "grows", "small")]
    faults = ROOT / "tests" / "faults" / "harm"
    assert _printed(IN_CODEC_PROCESS, *paths, PYTHONPATH=f"{faults}:{ROOT}") == [
        "target_met",
        "out_of_memory",
        "out_of_memory",
        "target_met",
    ]


def test_an_avif_that_gets_no_memory_fails_alone(tmp_path: Path) -> None:
    """Where libavif's threads get none at all, they end the process without an error."""
    (tmp_path / "small").write_bytes(encoded(photo(), "JPEG", quality=95))
    (tmp_path / "large").write_bytes(encoded(cutout().resize(SIZE), "AVIF", speed=10))
    paths = [tmp_path / name for name in ("large", "small")]
    for room in range(16, 112, 12):
        script = IN_CODEC_PROCESS.replace("256 << 20", f"{room} << 20").replace(
            "concurrency=1", "concurrency=0"
        )
        code, last = _printed(script, *paths)
        assert last == "target_met"
        assert code in ("out_of_memory", "worker_crashed", "target_met", "floor_reached")


def test_the_stacks_of_threads_come_on_top() -> None:
    script = """if True:
        import resource
        from imgcompress.worker.process import limit_memory
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, -1))
        limit_memory(1 << 30, concurrency=2)
        print(resource.getrlimit(resource.RLIMIT_DATA)[0])
    """
    assert _printed(script) == [str((1 << 30) + (6 + OTHER_THREADS << 20))]


def test_no_ceiling_limits_nothing() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit_memory(0, concurrency=16)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
