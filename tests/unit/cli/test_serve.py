from __future__ import annotations

from pathlib import Path
from typing import Any

from imgcompress.cli.serve import programs
from imgcompress.cli.supervisor import Program
from imgcompress.config import load_settings


def chosen(tmp_path: Path, **settings: Any) -> dict[str, Program]:
    made = programs(load_settings(None, data_dir=tmp_path, **settings))
    return {program.name: program for program in made}


def after(program: Program, option: str) -> str:
    return program.command[program.command.index(option) + 1]


def test_the_broker_starts_first_and_the_web_server_last(tmp_path: Path) -> None:
    started = chosen(tmp_path, celery_broker_url=None)

    assert list(started) == ["broker", "deliveries", "worker", "beat", "web"]


def test_a_named_broker_is_not_started(tmp_path: Path) -> None:
    assert "broker" not in chosen(tmp_path, celery_broker_url="amqp://rabbit.example.com")


def test_light_work_does_not_wait_behind_images(tmp_path: Path) -> None:
    started = chosen(tmp_path, queue_prefix="shop")

    assert after(started["worker"], "-Q") == "shop.images"
    assert after(started["deliveries"], "-Q") == "shop.deliveries,shop.recovery"


def test_the_number_of_processes_is_a_setting(tmp_path: Path) -> None:
    assert after(chosen(tmp_path, worker_processes=3)["worker"], "-c") == "3"
    assert int(after(chosen(tmp_path, worker_processes=0)["worker"], "-c")) >= 1
