"""What `make up-local` reads out of a compose file, how it says it for this machine, and how it keeps processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from infra.local.definition import DefinitionError, chosen, load
from infra.local.images import _servers, _targets, bare, lacking
from infra.local.interpolation import UndefinedError, fill, read_env
from infra.local.places import Places

ROOT = Path(__file__).parents[2]


@pytest.fixture
def services(secrets_of_compose):
    return load([ROOT / "docker-compose.yml"], secrets_of_compose, ["monitoring"])


@pytest.fixture
def places(services, tmp_path: Path) -> Places:
    scaled = services | {"dask-worker": replace(services["dask-worker"], replicas=3)}
    return Places(tmp_path, ROOT, 90, scaled, {})


def write(folder: Path, text: str, name: str = "compose.yml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$A ${A} $${A}", "x x ${A}"),
        ("${B:-d}${B-d}${N:-d}${N-d}", "dd" + "d"),
        ("${A:+y}${N:+y}${B+y}", "y"),
        ("${A:?why}", "x"),
    ],
)
def test_variables_mean_what_the_specification_says(text: str, filled: str) -> None:
    assert fill({"k": [text]}, {"A": "x", "N": ""}) == {"k": [filled]}


def test_every_variable_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(UndefinedError, match=r"A is not set: run it; B is not set: it is required"):
        fill(["${A:?run it}", "${B?}"], {"A": ""})


def test_an_env_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "# words\nA=1\nB='two words'\n\nC=a=b\n", ".env")
    assert read_env(path) == {"A": "1", "B": "two words", "C": "a=b"}
    assert read_env(tmp_path / "none") == {}


def test_a_later_file_is_laid_over_an_earlier_one(tmp_path: Path) -> None:
    first = write(
        tmp_path,
        "services: {a: {image: x, command: [p, q], environment: {A: 1, B: 2}, volumes: ['v:/v', 'w:/w']}}",
    )
    second = write(
        tmp_path, "services: {a: {command: r s, environment: {B: 3}, volumes: ['u:/v']}, b: {image: y}}", "more.yml"
    )
    a = load([first, second], {})["a"]
    assert a.command == ("r", "s")
    assert a.environment == {"A": "1", "B": "3"}
    assert {m.target: m.source for m in a.mounts} == {"/v": "u", "/w": "w"}


def test_files_of_variables_come_before_what_stands_in_the_service(tmp_path: Path) -> None:
    write(tmp_path, "A=file\nB=file\n", "one.env")
    named = "[one.env, {path: none.env, required: false}]"
    file = write(tmp_path, f"services: {{a: {{image: x, env_file: {named}, environment: {{A: here}}}}}}")
    assert load([file], {})["a"].environment == {"A": "here", "B": "file"}
    with pytest.raises(DefinitionError, match=r"none\.env: .* is not there"):
        load([write(tmp_path, "services: {a: {image: x, env_file: none.env}}")], {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("services: {a: {image: x, privileged: true}}", "privileged is not understood"),
        ("services: {a: {command: x}}", "has no image"),
        ("services: {a: {image: x, depends_on: [b]}}", "depends on b, which there is not"),
        ("services: {a: {image: x, stop_grace_period: soon}}", "no duration"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        load([write(tmp_path, text)], {})


def test_a_service_brings_what_it_needs(services) -> None:
    assert list(chosen(services, ["dask-worker"])) == ["dask-scheduler", "dask-worker"]
    assert "storage-init" in chosen(services, ["api-1"])
    with pytest.raises(DefinitionError, match="no service api-9; there are"):
        chosen(services, ["api-9"])


def test_each_replica_has_an_address_of_its_own_and_names_lead_to_it(places: Places) -> None:
    addresses = [replica.address for replica in places.replicas]
    assert len(set(addresses)) == len(addresses)
    assert len(places.names["minio-nodes"]) == 4
    assert len(places.names["api-replicas"]) == 2
    assert len(places.names["dask-worker"]) == 3
    worker = next(r for r in places.replicas if r.name == "dask-worker-2")
    scheduler = places.names["dask-scheduler"][0]
    said = places.translate(
        "tcp://dask-scheduler:8786 0.0.0.0:8790 http://localhost:1/ dask-scheduler /data/x", worker
    )
    own = worker.address
    home = places.root / "volumes" / "home"
    assert said == f"tcp://{scheduler}:8786 {own}:8790 http://{own}:1/ dask-scheduler {home}/x"


def test_paths_are_those_of_the_service_that_is_named(places: Places) -> None:
    first, second = (r for r in places.replicas if r.name in ("minio-1", "minio-2"))
    volumes = places.root / "volumes"
    said = f"http://{second.address}:9000{volumes}/minio-2-1 {volumes}/minio-1-1 /drive-10 /x/drive-1"
    assert places.translate("http://minio-2:9000/drive-1 /drive-1 /drive-10 /x/drive-1", first) == said


def test_scratch_without_a_name_is_each_replicas_own(places: Places) -> None:
    workers = [r for r in places.replicas if r.service.name == "dask-worker"]
    scratch = {places.translate("/spool", worker) for worker in workers}
    assert len(scratch) == len(workers)


def test_no_name_of_a_service_is_left_in_what_is_read_here(places: Places) -> None:
    from infra.local.images import image

    for replica in places.replicas:
        texts = places.files(replica, image(replica.service.image).rewrite).values()
        said = [
            places.translate(word, replica) for word in (*replica.service.command, *replica.service.environment)
        ]
        for text in (*texts, *said):
            for line in text.splitlines():
                assert not any(f"{name}:" in line.partition("#")[0] for name in places.names), line


def test_names_of_several_are_spelt_out_where_a_name_server_would_be_asked(places: Places) -> None:
    workers = ", ".join(f'"{ip}:8790"' for ip in places.names["dask-worker"])
    said = _targets("dns_sd_configs: [{names: [dask-worker], type: A, port: 8790}]", places)
    assert said == f"static_configs: [{{targets: [{workers}]}}]"
    lines = _servers("  server-template node- 32 minio-nodes:9000 check\n", places).splitlines()
    assert lines == [f"  server node-{n} {ip}:9000 check" for n, ip in enumerate(places.names["minio-nodes"], 1)]


def test_every_image_has_a_program_here_and_what_is_missing_is_told_in_steps(services) -> None:
    from infra.local.images import image

    for service in services.values():
        assert image(service.image)
    assert bare("quay.io/some/thing:v1.2@sha256:ab") == "quay.io/some/thing"
    assert lacking({"sh"}) == []
    assert lacking({"no-such-program"}) == ["put no-such-program on the PATH"]


TWO = """
services:
  first: {image: onefold-api:1, restart: unless-stopped, command: [sleep, "1000"]}
  second:
    image: onefold-api:1
    restart: unless-stopped
    command: [sh, -c, "sleep 1000 & wait"]
    depends_on: {first: {condition: service_healthy}}
"""


@pytest.fixture
def small(make_stack: Callable, tmp_path: Path):
    stack = make_stack()
    stack.environment["COMPOSE_FILE"] = str(write(tmp_path, TWO))
    return stack


def test_what_ends_is_started_again_and_down_leaves_nothing(small) -> None:
    small.run("up")
    pid = small.state()["first"]["pid"]
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while small.state()["first"]["starts"] < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert small.state()["first"]["pid"] not in (None, pid)
    assert "nothing was running" not in small.run("down")
    assert small.processes() == []
    assert "nothing is running" in small.run("ps", code=1)


def test_a_supervisor_that_was_killed_leaves_nothing_that_down_does_not_find(small) -> None:
    import json

    small.run("up")
    assert len(small.processes()) >= 3
    os.kill(json.loads((small.root / "state.json").read_text())["supervisor"], signal.SIGKILL)
    small.run("down")
    assert small.processes() == []


def test_what_is_changed_is_started_anew_and_the_rest_goes_on(small) -> None:
    small.run("up")
    before = small.state()
    path = Path(small.environment["COMPOSE_FILE"])
    path.write_text(TWO.replace("& wait", "& wait; true"))
    small.run("up")
    after = small.state()
    assert after["first"]["pid"] == before["first"]["pid"]
    assert after["second"]["pid"] != before["second"]["pid"]
    small.run("stop", "second")
    assert small.state()["second"]["state"] == "stopped"


def test_ctrl_c_while_starting_ends_what_was_started(small) -> None:
    path = Path(small.environment["COMPOSE_FILE"])
    path.write_text(TWO.replace("restart: unless", 'healthcheck: {test: [CMD, "false"]}, restart: unless', 1))
    starting = small.start("up")
    while not small.processes():
        time.sleep(0.05)
    starting.send_signal(signal.SIGINT)
    said = starting.communicate(timeout=60)[0]
    assert starting.returncode == 130
    assert "interrupted" in said
    assert small.processes() == []


def test_what_does_not_come_up_is_told_with_the_end_of_its_log(small) -> None:
    path = Path(small.environment["COMPOSE_FILE"])
    path.write_text('services: {it: {image: onefold-api:1, command: [sh, -c, "echo no room left; exit 3"]}}')
    said = small.run("up", code=1)
    assert "it: ended" in said
    assert "no room left" in said


def test_what_is_asked_for_wrongly_is_one_line(small) -> None:
    assert "no service x to scale" in small.run("up", "--scale", "x=2", code=1)
    path = Path(small.environment["COMPOSE_FILE"])
    path.write_text("services: {it: {image: onefold-api:1, command: [no-such-program, '${NONE:?say it}']}}")
    assert small.run("up", code=1).splitlines() == ["NONE is not set: say it (.env, which make secrets writes)"]
    path.write_text("services: {it: {image: onefold-api:1, command: [no-such-program]}}")
    assert "this machine lacks programs: put no-such-program on the PATH" in small.run("up", code=1)


NUMBERED = """
services:
  api-1: {image: onefold-api:1, restart: unless-stopped, command: [sleep, "1000"]}
  api-2: {image: onefold-api:1, restart: unless-stopped, command: [sleep, "1000"], environment: {A: "${A:-a}"}}
  other: {image: onefold-api:1, restart: unless-stopped, command: [sleep, "1000"], deploy: {replicas: 2}}
"""


@pytest.fixture
def numbered(make_stack: Callable, tmp_path: Path):
    stack = make_stack()
    stack.environment["COMPOSE_FILE"] = str(write(tmp_path, NUMBERED))
    return stack


@pytest.mark.parametrize("name", ["api-1", "api-2"])
def test_a_numbered_service_is_not_scaled_onto_the_address_of_the_next(numbered, name: str) -> None:
    said = numbered.run("up", "--scale", f"{name}=2", code=1)
    assert said.count("\n") == 1
    assert said.startswith(f"service {name} is not scaled")
    assert numbered.processes() == []


def test_a_service_that_is_one_by_the_compose_file_is_not_scaled(small) -> None:
    assert small.run("up", "--scale", "first=2", code=1).startswith("service first is not scaled")


@pytest.mark.parametrize("asked", ["other=x", "other=", "other", "=2", "other=-1", "other=1000"])
def test_a_number_of_replicas_that_is_none_is_one_line(numbered, asked: str) -> None:
    said = numbered.run("up", "--scale", asked, code=1)
    assert said == f"scale {asked}: say SERVICE=N, with N a number from 0 to 250\n"


def test_a_command_inside_a_service_is_to_be_said(numbered) -> None:
    said = numbered.run("exec", "api-1", code=1)
    assert said == "exec api-1: say the command too, such as: exec api-1 onefold status\n"


def test_names_are_right_also_where_all_runs(numbered) -> None:
    numbered.run("up")
    assert "no service minio-9; there are" in numbered.run("up", "minio-9", code=1)
    numbered.run("up", "api-1")


def test_a_command_inside_a_service_finds_the_stack_that_it_runs_in(numbered) -> None:
    """With what the stack was told, not what the service is told: nothing is started anew."""
    numbered.environment["A"] = "of the stack"
    numbered.run("up", "api-2")
    before = numbered.state()
    local = (sys.executable, "-m", "infra.local")
    assert "api-2  healthy" in numbered.run("exec", "api-2", *local, "ps")
    numbered.run("exec", "api-2", "env", "A=of the service", *local, "up", "api-1")
    after = numbered.state()
    assert set(after) == {"api-1", "api-2"}
    assert after["api-2"]["pid"] == before["api-2"]["pid"]
