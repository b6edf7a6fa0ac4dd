"""The engine under AddressSanitizer and UndefinedBehaviorSanitizer, on good and bad files.

Beside them it is compared with libjpeg, coefficient by coefficient, where that has its headers.
"""

import random
import shutil
import subprocess

import pytest

from .build import SANITIZED, WITH_LIBJPEG, compiled, has_sanitizers
from .test_rejections import REJECTED
from tests.fuzz.seeds import seeds

COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    """Return the fuzzer's target as a programme that takes files."""
    folder = tmp_path_factory.mktemp("engine")
    if not has_sanitizers(folder):
        pytest.skip("the C compiler has no sanitizers")
    target = folder / "engine"
    if compiled(target, *SANITIZED, *WITH_LIBJPEG):
        errors = compiled(target, *SANITIZED)
        assert not errors, errors
    return target


def run(programme, folder, files):
    paths = []
    for number, data in enumerate(files):
        path = folder / str(number)
        path.write_bytes(data)
        paths.append(str(path))
    done = subprocess.run([programme, *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def test_valid_files_pass_the_sanitizers(programme, tmp_path):
    run(programme, tmp_path, seeds())


def test_rejected_files_pass_the_sanitizers(programme, tmp_path):
    run(programme, tmp_path, REJECTED.values())


@pytest.mark.parametrize("number", range(4))
def test_damaged_files_do_no_harm(programme, tmp_path, number):
    chance = random.Random(number)
    run(programme, tmp_path, (damaged(seed, chance) for seed in seeds() for _ in range(6)))


def damaged(seed, chance):
    """Return the seed with some bytes changed, or cut, or with a part of it doubled."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        data[chance.randrange(2, len(data))] = chance.choice((0, 255, chance.randrange(256)))
    at = chance.randrange(2, len(data))
    match chance.randrange(4):
        case 0:
            del data[at:]
        case 1:
            data[at:at] = data[chance.randrange(len(data)) :][: chance.randint(1, 200)]
    return bytes(data)
