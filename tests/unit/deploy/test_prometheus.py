"""The alert rules ask for metrics, and for labels of them, that `/metrics` has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "deploy" / "prometheus"
(GROUP,) = yaml.safe_load((FOLDER / "imgcompress.rules.yaml").read_text(encoding="utf-8"))["groups"]


def test_the_rules_ask_for_samples_that_exist(samples: dict[str, set[str]]) -> None:
    for rule in GROUP["rules"]:
        names = set(re.findall(r"imgcompress_\w+", rule["expr"]))
        assert names <= samples.keys(), rule["alert"]
        labels = set(re.findall(r"(\w+)(?:=~|=)\"", rule["expr"]))
        assert labels <= {"job"}.union(*(samples[name] for name in names)), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} == rule["annotations"].keys()


def test_prometheus_fires_them_when_it_should() -> None:
    if shutil.which("promtool") is None:
        assert not os.environ.get("CI"), "promtool is missing; with CI set it has to be there."
        pytest.skip("promtool is missing. Install Debian's package prometheus.")
    done = subprocess.run(
        ["promtool", "test", "rules", "imgcompress.rules.test.yaml"],
        cwd=FOLDER,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
