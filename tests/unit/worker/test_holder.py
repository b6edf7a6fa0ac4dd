"""The name of a lease's holder: alive while its process is, unknown on other machines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imgcompress.worker.process import is_dead, process_name

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

TELL_NAME = "from imgcompress.worker.process import process_name; print(process_name(), flush=True)"


@pytest.fixture
def own_name() -> str:
    """Return the name of this process."""
    name = process_name()
    assert name is not None
    return name


def test_this_process_lives(own_name: str) -> None:
    assert process_name() == own_name
    assert not is_dead(own_name)


def test_a_process_is_dead_once_it_has_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"{TELL_NAME}; input()"],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        name = process.stdout.readline().strip()
        assert not is_dead(name)
        process.stdin.close()
        process.wait(10)
    assert is_dead(name)


def test_another_process_with_the_same_id_is_not_the_holder(own_name: str) -> None:
    machine, pid, start_time = own_name.rsplit("/", 2)
    assert is_dead(f"{machine}/{pid}/{int(start_time) - 1}")


@pytest.mark.parametrize("name", ["elsewhere/1/1/1", "", "nonsense", "a/b/c"])
def test_nothing_is_known_of_other_machines(name: str) -> None:
    assert not is_dead(name)
