"""A RabbitMQ node of the tests' own, whose alarm can be set without harm to anybody else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.service import free_port, wait_until

# Debian's wrappers in the PATH change to the user rabbitmq; these run as whoever calls them.
BIN = Path("/usr/lib/rabbitmq/bin")
START_SECONDS = 300


def _program(name: str) -> str:
    found = BIN / name if (BIN / name).exists() else shutil.which(name)
    if found is None:
        message = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return str(found)


class RabbitNode:
    """A node with a folder, ports and a cookie of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n", encoding="ascii"
        )
        (folder / "plugins").write_text("[].\n", encoding="ascii")
        self._environment = os.environ | {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{uuid4().hex[:8]}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }
        self._log = folder / "node.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [_program("rabbitmq-server")],
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        wait_until(self._has_started, START_SECONDS, self._log.read_text)

    def stop(self) -> None:
        """End the node, with what it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._end_epmd()

    def set_alarm(self) -> None:
        """Let the node find that it has too little memory: it reads nothing from publishers."""
        self._control("set_vm_memory_high_watermark", "absolute", "1000")
        wait_until(self._alarmed, 30)

    def clear_alarm(self) -> None:
        """Let it have memory enough again."""
        self._control("set_vm_memory_high_watermark", "0.9")
        wait_until(lambda: not self._alarmed(), 30)

    def pause(self) -> None:
        """Have the node hang: its connections stand, and it answers nothing."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        os.killpg(self._process.pid, signal.SIGCONT)
        wait_until(self._has_started, START_SECONDS)

    def _alarmed(self) -> bool:
        return "memory" in self._control("eval", "rabbit_alarm:get_alarms().").lower()

    def _has_started(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        return self._run("await_startup", "--timeout", "10").returncode == 0

    def _control(self, *command: str) -> str:
        done = self._run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_program("rabbitmqctl"), "-n", self._environment["RABBITMQ_NODENAME"], *command],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _end_epmd(self) -> None:
        """End the port mapper that the node started, which detaches itself from it."""
        mine = f"ERL_EPMD_PORT={self._environment['ERL_EPMD_PORT']}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    mine in (folder / "environ").read_bytes().split(b"\0")
                    and b"epmd" in (folder / "cmdline").read_bytes().split(b"\0")[0]
                ):
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:  # It has ended meanwhile.
                continue
