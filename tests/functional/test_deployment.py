"""The ready files in `deploy/`: each is well formed, and its commands serve a job together."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from imgcompress.config import load_settings

from ..origin import PlainOrigin
from . import deployment
from .deployment import DEPLOY, INSTALLED, UNITS
from .programs import answers, running, words
from tests.support.databases import fresh_database
from tests.support.photos import sample
from tests.support.receiver import Receiver
from tests.support.servers import fresh_broker
from tests.support.service import ROOT, Service, free_port, wait_until

# The name in our example of nginx.
DIGEST = "@sha256:[0-9a-f]{64}"
HOST = "images.example.com"
METRICS_KEY = "k" * 32
PHOTOS = {"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}
NGINX = """
user {user}; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
        fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
        include {folder}/site.conf; }}
"""


class TestTheFiles:
    def test_all_name_the_same_commands(self) -> None:
        commands = set(deployment.readme_commands())
        assert len(commands) == 5
        for named in (
            deployment.procfile_commands(),
            deployment.compose_commands(),
            deployment.systemd_commands(),
        ):
            assert sorted(named) == sorted(commands)
        assert " ".join(deployment.image_command()) in commands

    def test_compose_passes_every_setting_of_the_env_file(self) -> None:
        text = (ROOT / ".env.example").read_text(encoding="utf-8")
        known = set(re.findall(r"^(?:# )?([A-Z_]+)=", text, re.M))
        for service in deployment.compose_services().values():
            assert (DEPLOY / service["env_file"]).resolve() == ROOT / ".env"
            assert set(service["environment"]) <= known
            # A copied .env.example has addresses that do not hold in a container.
            assert service["environment"].keys() >= deployment.image_environment().keys() & {
                "DATA_DIR",
                "HOST",
                "PORT",
            }
        others = deployment.image_environment().keys() - known
        assert others == {"PYTHONUNBUFFERED", "FLASK_APP"}

    def test_compose_migrates_before_all_others_start(self) -> None:
        services = deployment.compose_services()
        for name in services.keys() - {"migrate"}:
            waits_for = services[name]["depends_on"]
            assert waits_for["migrate"]["condition"] == "service_completed_successfully"
            assert {waits_for[other]["condition"] for other in ("postgres", "redis")} == {
                "service_healthy"
            }

    def test_compose_checks_the_health_of_every_service(self) -> None:
        found = deployment.compose()
        for name in ("postgres", "redis"):
            assert found["services"][name]["healthcheck"]["test"][0] == "CMD"
        kept = [
            volume.split(":")[0]
            for service in found["services"].values()
            for volume in service["volumes"]
        ]
        assert set(kept) == set(found["volumes"])

    def test_the_workers_as_a_whole_have_a_limit_of_memory(self) -> None:
        worker = deployment.compose_services()["worker"]
        assert worker["mem_limit"] == worker["memswap_limit"] != ""
        unit = (DEPLOY / "systemd" / "imgcompress-worker.service").read_text(encoding="utf-8")
        assert {"MemoryMax=75%", "MemorySwapMax=0", "OOMPolicy=continue"} <= set(unit.splitlines())

    def test_the_image_runs_as_nobody_special(self) -> None:
        stage = [name for name, _ in deployment.dockerfile()]
        assert dict(deployment.dockerfile())["USER"] == "imgcompress"
        assert stage.index("USER") < stage.index("CMD")

    def test_every_base_image_is_pinned_and_can_be_replaced(self) -> None:
        instructions = deployment.dockerfile()
        name, base = instructions[0]
        assert name == "ARG" and re.fullmatch(rf"BASE=python:3\.11-slim{DIGEST}", base)
        bases = {arguments.split()[0] for name, arguments in instructions if name == "FROM"}
        assert bases == {"$BASE"}
        compose = deployment.compose()["services"]
        for service in deployment.compose_services().values():
            used = service["build"]["args"]["BASE"]
            assert used == f"${{BASE_IMAGE:-{base.removeprefix('BASE=')}}}"
        for service, image in (("postgres", "postgres:17"), ("redis", "redis:7")):
            pinned = rf"\$\{{{service.upper()}_IMAGE:-{image}{DIGEST}\}}"
            assert re.fullmatch(pinned, compose[service]["image"])

    def test_the_context_of_the_image_has_what_is_copied(self) -> None:
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        copied = {
            word
            for name, arguments in deployment.dockerfile()
            if name == "COPY" and not arguments.startswith("--from")
            for word in arguments.split()[:-1]
        }
        context = {line[1:] for line in ignored if line.startswith("!")}
        assert context <= copied
        assert all(
            name in context or any(map(context.__contains__, map(str, Path(name).parents)))
            for name in copied
        )
        assert all((ROOT / name).exists() for name in copied)

    def test_the_units_and_the_image_keep_all_files_private(self) -> None:
        for unit in UNITS:
            lines = unit.read_text(encoding="utf-8").splitlines()
            assert {"UMask=0077", "StateDirectoryMode=0700"} <= set(lines), unit.name
        commands = [arguments for name, arguments in deployment.dockerfile() if name == "RUN"]
        assert any("--mode 0700 --owner imgcompress /data" in command for command in commands)

    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
    def test_systemd_takes_the_units(self, tmp_path: Path) -> None:
        """The folder of the installation is that of the tests, so that the programs are found."""
        programs = Path(sys.executable).parent
        for unit in UNITS:
            text = unit.read_text(encoding="utf-8")
            (tmp_path / unit.name).write_text(
                text.replace(f"{INSTALLED}/.venv/bin", str(programs)).replace(INSTALLED, str(ROOT))
            )
        done = subprocess.run(
            ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)],
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
    def test_the_units_are_hardened(self, unit: Path) -> None:
        """The exposure, from 0 to 10, is at most 2.0; systemd calls what is below 2.5 OK."""
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout

    def test_nginx_takes_the_largest_upload(self) -> None:
        text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
        mebibytes = int(re.findall(r"client_max_body_size (\d+)m;", text)[0])
        limit = load_settings(ROOT / ".env.example").max_upload_bytes
        assert limit < mebibytes * 2**20 <= limit + 2**21


@contextmanager
def _nginx(folder: Path, service: Service) -> Iterator[str]:
    """Run nginx with our example before the service; yield the address that it listens on."""
    if not shutil.which("nginx"):
        assert not os.environ.get("CI"), "nginx is not here"
        yield service.url
        return
    port = free_port()
    site = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    (folder / "site.conf").write_text(
        site.replace("listen 80;", f"listen 127.0.0.1:{port};").replace(
            "127.0.0.1:5000", f"127.0.0.1:{service.port}"
        )
    )
    # A user without rights could not look into the folder of a test.
    user = "root" if os.geteuid() == 0 else "nobody"
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=60)
    process = subprocess.Popen(
        [*command, "-g", "daemon off;"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url), 60)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _log(service: Service) -> list[dict[str, Any]]:
    """Return what the processes have logged; each line is an object."""
    return [json.loads(line) for line in service.log.splitlines()]


def _metrics(url: str) -> dict[tuple[str, ...], float]:
    """Return the numbers by name and, in the order of their names, the values of the labels."""
    answer = requests.get(
        f"{url}/metrics", timeout=30, headers={"Authorization": f"Bearer {METRICS_KEY}"}
    )
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture(scope="class")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that the commands of the files started, with what is in the image alone."""
    folder, prefix = tmp_path_factory.mktemp("image"), f"test-{uuid4().hex[:8]}"
    deployment.copy_as_the_image_does(folder)
    with ExitStack() as stack:
        service = Service(
            tmp_path_factory.mktemp("deployed") / "var",
            LOG_FORMAT="json",
            QUEUE_PREFIX=prefix,
            DATABASE_URL=stack.enter_context(fresh_database()),
            TRUSTED_PROXIES="1",
            ALLOWED_HOSTS=HOST,
            METRICS_KEY=METRICS_KEY,
            CELERY_BROKER_URL=stack.enter_context(fresh_broker("redis", prefix)),
        )
        (migrate,) = (line for line in deployment.procfile_commands() if line.startswith("python"))
        subprocess.run(
            words(migrate),
            cwd=folder,
            env=service.environment,
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        for command in deployment.procfile_commands():
            if command != migrate:
                stack.enter_context(running(words(command), service, folder))
        wait_until(lambda: answers(service.url), 180, lambda: service.log)
        yield service


@pytest.mark.postgres
@pytest.mark.redis
class TestTheCommands:
    def test_they_do_a_job_together(self, deployed: Service, tmp_path: Path) -> None:
        with (
            PlainOrigin(PHOTOS) as origin,
            Receiver() as receiver,
            _nginx(tmp_path, deployed) as url,
        ):
            csv = (
                "S. No.,Product Name,Input Image Urls\n"
                f"1,Rocket,{origin.url('/rocket.jpg')}\n2,Lost,{origin.url('/lost.jpg')}\n"
            )
            answer = requests.post(
                f"{url}/upload",
                files={"file": ("products.csv", csv)},
                data={"webhook_url": receiver.url},
                timeout=30,
            )
            assert answer.status_code == 202, answer.text
            result = answer.json()
            assert result["status_url"].startswith(url)
            job = deployed.finished(result["request_id"])
            assert (job["completed_images"], job["failed_images"]) == (1, 1)
            wait_until(
                lambda: len(receiver.of(result["request_id"])) == 2, 60, lambda: deployed.log
            )

        self._follow_the_job_through_the_log(
            deployed, result["request_id"], answer.headers["X-Request-ID"]
        )
        self._find_the_job_in_the_metrics(deployed)

    def _follow_the_job_through_the_log(
        self, service: Service, request_id: str, call_id: str
    ) -> None:
        wait_until(lambda: service.log.count('"Delivered"') == 2, 30, lambda: service.log)
        lines = [line for line in _log(service) if line.get("request_id") == request_id]
        accepted, upload = (line for line in lines if line.get("call_id") == call_id)
        assert (accepted["event"], accepted["rows"], accepted["images"]) == ("Job accepted", 2, 2)
        assert (upload["path"], upload["status"]) == ("/upload", 202)
        (ended,) = (line for line in lines if line["event"] == "Job completed")
        assert (ended["completed"], ended["failed"]) == (1, 1)
        tasks = {line["task"] for line in lines if "task" in line}
        assert {"process_csv", "deliver_due"} <= tasks
        delivered = [line for line in lines if line["event"] == "Delivered"]
        assert len({line["delivery_id"] for line in delivered}) == 2
        assert {line["channel"] for line in delivered} == {"webhook"}

    def _find_the_job_in_the_metrics(self, service: Service) -> None:
        """Timings are saved a few seconds later, by each process for itself."""
        fetched = "imgcompress_fetch_seconds_count"
        wait_until(
            lambda: _metrics(service.url).get((fetched, "failed"), 0) >= 1, 60, lambda: service.log
        )
        for _ in range(10):
            service.get("/job")
        calls = ("imgcompress_http_request_seconds_count", "GET", "/job", "200")
        wait_until(lambda: _metrics(service.url).get(calls) == 10, 60, lambda: service.log)

        answer = _metrics(service.url)
        assert answer[fetched, "ok"] == answer["imgcompress_compress_seconds_count", "ok"] == 1
        assert answer["imgcompress_images_total", "source_status", "failed"] == 1
        assert answer["imgcompress_jobs_ended_total", "COMPLETED"] == 1
        assert answer["imgcompress_deliveries_ended_total", "webhook", "DELIVERED"] == 2

    def test_nginx_passes_on_the_host_and_guards_the_figures(
        self, deployed: Service, tmp_path: Path
    ) -> None:
        with _nginx(tmp_path, deployed) as url:
            for host, status in ((HOST, 200), ("attacker.example", 421)):
                answer = requests.get(f"{url}/job", headers={"Host": host}, timeout=30)
                assert answer.status_code == status
            for path, status in (("/metrics", 401), ("/metrics/", 404), ("/metrics/.", 404)):
                assert requests.get(url + path, timeout=30).status_code == status

    def test_the_image_passes_its_health_check(self, deployed: Service) -> None:
        command = [
            word.replace(":5000", f":{deployed.port}") for word in deployment.image_health_check()
        ]
        done = subprocess.run([sys.executable, *command[1:]], capture_output=True, timeout=60)
        assert command[0] == "python" and done.returncode == 0, done.stderr

    def test_the_doctor_finds_no_error(self, deployed: Service) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "imgcompress", "doctor"],
            cwd=ROOT,
            env=deployed.environment,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        assert re.search("^ok +recovery", done.stdout, re.M), done.stdout
