"""docker-compose.yml and the Dockerfile: structure, no secret shipped, and nothing named that does not exist."""

from __future__ import annotations

import importlib.util
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "infra" / "Dockerfile").read_text()
KEYS = {
    "build", "image", "restart", "environment", "volumes", "command", "ports", "healthcheck", "depends_on",
}  # fmt: skip


def known_variables() -> set[str]:
    path = ROOT / "tests" / "house" / "test_docs.py"
    spec = importlib.util.spec_from_file_location("house_docs", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return set(module.settings())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_heals_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= KEYS
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_are_declared_or_in_the_repository(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_images_are_pinned_and_ours_are_built_from_stages_that_exist() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE))
    for name, service in SERVICES.items():
        if "build" in service:
            assert service["build"]["target"] in stages, name
            assert (ROOT / service["build"]["dockerfile"]).exists()
        else:
            assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", service["image"]), name


def test_no_secret_is_shipped() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert re.fullmatch(r"\$\{\w+(:-|:\?[\w ]+)\}", value), f"{name} holds a value"
    for url in re.findall(r"://[\w-]+:([^@\s]+)@", text):
        assert url.startswith("${POSTGRES_PASSWORD:?"), "a password stands in an address"
    ignored = subprocess.run(["git", "check-ignore", ".env"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 0


def test_every_variable_is_a_setting_that_exists() -> None:
    named = {key for service in SERVICES.values() for key in service["environment"] if key.startswith("ONEFOLD_")}
    assert named <= known_variables(), named - known_variables()


def test_every_command_is_one_that_the_image_has() -> None:
    programs = Path(sys.executable).parent
    for name, service in SERVICES.items():
        if "command" not in service:
            continue
        program, *arguments = service["command"]
        assert (programs / program).exists(), f"{name}: no program {program}"
        if program == "python":
            assert importlib.util.find_spec(arguments[1]), f"{name}: no module {arguments[1]}"
        for argument in arguments:
            if re.fullmatch(r"[\w.]+:\w+", argument) and not argument.startswith("tcp"):
                module, _, function = argument.partition(":")
                assert hasattr(importlib.import_module(module), function), f"{name}: no {argument}"


def test_both_databases_of_postgres_are_made() -> None:
    text = (ROOT / "docker-compose.yml").read_text().replace("${POSTGRES_PASSWORD:?run make secrets}", "x")
    wanted = {make_url(url).database for url in re.findall(r"postgresql\+\w+://\S+", text)}
    made = {SERVICES["postgres"]["environment"]["POSTGRES_DB"]}
    made |= set(re.findall(r"create database (\w+);", (ROOT / "infra/postgres/prefect.sql").read_text()))
    assert wanted == made


def test_the_image_is_small_pinned_and_runs_without_root() -> None:
    assert re.search(r"^ARG BASE=python:3\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    final = DOCKERFILE[DOCKERFILE.index(" AS base") :]
    assert re.search(r"^USER onefold$", final, re.MULTILINE)
    for install in re.findall(r"pip install .*", DOCKERFILE):
        assert "--require-hashes" in install or "--no-deps" in install
    api = DOCKERFILE[DOCKERFILE.index("AS api-packages") : DOCKERFILE.index("AS worker-packages")]
    assert "requirements-api.txt" in api
    assert "requirements.txt" not in api
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    }
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored or name.startswith("requirements"), f"{name} is not in the build context"


def test_secrets_are_random_and_for_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    script = tmp_path / "infra" / "secrets.sh"
    script.write_text((ROOT / "infra" / "secrets.sh").read_text())
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    written = (tmp_path / ".env").read_text()
    assert re.fullmatch(r"POSTGRES_PASSWORD=[\w-]{40,}\n", written)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    assert (tmp_path / ".env").read_text() == written
