from __future__ import annotations

import platform
import subprocess
import sys

import pytest

MALLOC = """
import ctypes, re, resource
from imgcompress.worker.process import tune_malloc
assert tune_malloc()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
"""
# Blocks of growing size, each freed before the next is taken: glibc would raise its threshold with
# them, and keep the last ones below a small block that stays.
GROWING = (
    MALLOC
    + """
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024
for size in range(9, 31):
    libc.free(libc.malloc(size << 20))
blocks = [libc.malloc(30 << 20) for _ in range(4)]
before = resident()
for block in blocks:
    ctypes.memset(block, 1, 30 << 20)
held, kept = resident(), libc.malloc(1000)
for block in blocks:
    libc.free(block)
print(held - before, resident() - before)
"""
)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_large_blocks_go_back_though_small_ones_stay_behind_them() -> None:
    done = subprocess.run([sys.executable, "-c", GROWING], capture_output=True, text=True)
    assert not done.stderr
    held, left = map(int, done.stdout.split())
    assert held > 100 and left < 10


# Blocks at the top of the heap that are freed and taken again, as those of photos are.
AGAIN = (
    MALLOC
    + """
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    block = libc.malloc(8 << 20)
    ctypes.memset(block, 1, 8 << 20)
    libc.free(block)
use()
before = faults()
for _ in range(20):
    use()
print(faults() - before)
"""
)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_the_memory_of_a_photo_is_used_for_the_next_one() -> None:
    done = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True)
    assert not done.stderr
    assert int(done.stdout) < 200  # Allocated each time, the pages of 20 blocks would be 40,960.
