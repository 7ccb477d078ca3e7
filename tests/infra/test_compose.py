"""docker-compose.yml and the Dockerfiles: rules of ours, no secret shipped, and nothing named that does not exist."""

from __future__ import annotations

import importlib.util
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "on-failure"}
DOCKERFILE = (ROOT / "infra" / "Dockerfile").read_text()
NON_ROOT_BY_ITSELF = {"haproxy"}
"""Images that run as a user of their own unless told otherwise."""


def known_variables() -> set[str]:
    path = ROOT / "tests" / "house" / "test_docs.py"
    spec = importlib.util.spec_from_file_location("house_docs", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return set(module.settings())


def test_everything_that_the_platform_needs_is_there() -> None:
    nodes = [name for name in SERVICES if re.fullmatch(r"minio-\d+", name)]
    assert len(nodes) == 4
    assert all(len([v for v in SERVICES[n]["volumes"] if ":/drive-" in v]) == 2 for n in nodes)
    assert len([name for name in SERVICES if re.fullmatch(r"api-\d+", name)]) >= 2
    assert {
        "minio-balancer", "storage-init", "postgres", "prefect-server", "prefect-worker", "dask-scheduler",
        "dask-worker", "api-proxy", "mosquitto", "prometheus",
    } <= SERVICES.keys()  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_heals_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    if name in ONCE:
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
    for needed, how in service.get("depends_on", {}).items():
        finished = "service_completed_successfully" if needed in ONCE else "service_healthy"
        assert how == {"condition": finished}, f"{name} needs {needed}"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_become_root_or_fill_the_disk_with_its_log(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    if "build" in service:
        text = (ROOT / service["build"]["dockerfile"]).read_text()
        last = text[text.rindex("\nUSER ") :].splitlines()[1]
        assert last not in ("USER root", "USER 0"), name
    else:
        user = str(service.get("user", ""))
        assert user or service["image"].split(":")[0] in NON_ROOT_BY_ITSELF, f"{name} runs as root"
        assert user.split(":", maxsplit=1)[0] not in ("root", "0")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_what_scales_has_neither_a_fixed_port_nor_a_name() -> None:
    assert SERVICES["dask-worker"]["deploy"]["replicas"] == 2
    assert not {"ports", "container_name"} & SERVICES["dask-worker"].keys()
    assert not any("container_name" in service for service in SERVICES.values())


def test_each_replica_keeps_what_it_has_taken_in_a_volume_of_its_own() -> None:
    kept = {
        name: [volume.split(":")[0] for volume in service["volumes"] if volume.endswith(":/spool")]
        for name, service in SERVICES.items()
        if re.fullmatch(r"api-\d+", name)
    }
    assert all(len(volumes) == 1 for volumes in kept.values())
    assert len({volumes[0] for volumes in kept.values()}) == len(kept)


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_are_named_or_in_the_repository(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, _, target = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", volume).partition(":")
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert target.endswith(":ro")
        elif target:
            assert source in COMPOSE["volumes"]
        else:
            assert name == "dask-worker", "only scratch space may be without a name"


def test_every_named_volume_is_used() -> None:
    used = {v.split(":")[0] for service in SERVICES.values() for v in service.get("volumes", []) if ":" in v}
    assert set(COMPOSE["volumes"]) <= used


def test_images_are_pinned_and_ours_are_built_from_stages_that_exist() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[\w./-]+:v?\d[\w-]*\.?[\w.-]*", service["image"]), name
        if build := service.get("build"):
            text = (ROOT / build["dockerfile"]).read_text()
            assert "target" not in build or re.search(rf"^FROM \S+ AS {build['target']}$", text, re.MULTILINE)
            for image in re.findall(r"^(?:ARG BASE=|FROM )([\w./-]+:\S+)", text, re.MULTILINE):
                assert re.search(r":\d+\.\d+", image), f"{name}: {image}"


def test_no_secret_is_shipped() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|ROOT_USER", variable):
                assert re.fullmatch(r"\$\{\w+:\?run make secrets\}", value), f"{name}: {variable} holds a value"
    for secret in re.findall(r"://[\w-]+:([^@\s]+)@", TEXT):
        assert secret == "${POSTGRES_PASSWORD:?run make secrets}", "a password stands in an address"
    ignored = subprocess.run(["git", "check-ignore", ".env"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 0


def test_root_of_the_storage_is_known_to_it_and_to_who_sets_it_up_alone() -> None:
    knows = {name for name, s in SERVICES.items() if "MINIO_ROOT_PASSWORD" in str(s.get("environment"))}
    assert knows == {"minio-1", "minio-2", "minio-3", "minio-4", "storage-init"}


def test_every_variable_is_a_setting_that_exists_and_nothing_phones_home() -> None:
    named = {key for s in SERVICES.values() for key in s.get("environment", {}) if key.startswith("ONEFOLD_")}
    assert named <= known_variables(), named - known_variables()
    for name, service in SERVICES.items():
        if service["image"].startswith(("onefold-api", "onefold-worker")):
            said = service["environment"]
            assert said["DO_NOT_TRACK"] == "1", name
            assert said["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false", name
            assert said["MLFLOW_DISABLE_TELEMETRY"] == "true", name
        if service["image"].startswith("onefold-minio"):
            assert service["environment"]["MINIO_UPDATE"] == "off"


def test_both_databases_of_postgres_are_made() -> None:
    text = TEXT.replace("${POSTGRES_PASSWORD:?run make secrets}", "x")
    wanted = {make_url(url).database for url in re.findall(r"postgresql(?:\+\w+)?://[^\s?]+", text)}
    made = {SERVICES["postgres"]["environment"]["POSTGRES_DB"]}
    made |= set(re.findall(r"create database (\w+);", (ROOT / "infra/postgres/prefect.sql").read_text()))
    assert wanted == made


def test_prometheus_scrapes_every_service_that_stays() -> None:
    text = (ROOT / "infra" / "monitoring" / "prometheus.yml").read_text()
    jobs = yaml.safe_load(text)["scrape_configs"]
    aliases = {
        name: {name, *service.get("networks", {}).get("default", {}).get("aliases", ())}
        for name, service in SERVICES.items()
    }
    scraped = {t.split(":")[0] for job in jobs for s in job.get("static_configs", ()) for t in s["targets"]}
    scraped |= {name for job in jobs for found in job.get("dns_sd_configs", ()) for name in found["names"]}
    # By what stands before it: PostgreSQL by its exporter, the broker by the proxy that its traffic goes through.
    through = {"postgres": "postgres-exporter", "mosquitto": "api-proxy", "prometheus": "127.0.0.1"}
    for name in SERVICES.keys() - ONCE:
        assert aliases[name] & scraped or through.get(name) in scraped, f"{name} is not scraped"
    assert "server mosquitto mosquitto:1883" in (ROOT / "infra" / "proxy" / "api.cfg").read_text()


def test_the_pools_name_every_drive_of_every_node_once() -> None:
    pools = yaml.safe_load((ROOT / "infra" / "minio" / "pools.yml").read_text())["pools"]
    drives = [drive for pool in pools for drive in pool["args"]]
    wanted = {
        f"http://{name}:9000{volume.split(':')[1]}"
        for name, service in SERVICES.items()
        if re.fullmatch(r"minio-\d+", name)
        for volume in service["volumes"]
        if ":/drive-" in volume
    }
    assert len(drives) == len(wanted)
    assert set(drives) == wanted


def test_the_image_is_pinned_and_small() -> None:
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


def test_the_image_and_the_machine_have_the_same_minio() -> None:
    image = (ROOT / "infra" / "minio" / "Dockerfile").read_text()
    pins = re.findall(r"v0\.0\.0-\d{14}-[0-9a-f]{12}", image)
    assert len(pins) == 2
    assert set(pins) == set(re.findall(r"v0\.0\.0-\d{14}-[0-9a-f]{12}", (ROOT / "infra/minio/get.sh").read_text()))


def test_secrets_are_random_and_for_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    script = tmp_path / "infra" / "secrets.sh"
    script.write_text((ROOT / "infra" / "secrets.sh").read_text())
    (tmp_path / ".env").write_text("DASK_WORKER_MEMORY=2GB\nPOSTGRES_PASSWORD=kept")
    first = subprocess.run(["sh", str(script)], check=True, capture_output=True, text=True)
    written = (tmp_path / ".env").read_text()
    variables = dict(line.split("=", 1) for line in written.splitlines())
    required = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert variables.keys() == required | {"DASK_WORKER_MEMORY"}
    assert variables["POSTGRES_PASSWORD"] == "kept"
    values = {variables[name] for name in required}
    assert len(values) == len(required)
    assert all(re.fullmatch("[0-9a-f]{20}|[0-9a-f]{40}", value) for value in values - {"kept"})
    assert not any(value in first.stdout + first.stderr for value in values)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    assert (tmp_path / ".env").read_text() == written
