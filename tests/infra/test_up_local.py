"""All of docker-compose.yml as processes of this machine, and what it promises: shown on the running whole."""

from __future__ import annotations

import http.cookiejar
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_services,
    pytest.mark.needs_postgres,
    pytest.mark.needs_minio,
    pytest.mark.needs_prefect,
    pytest.mark.needs_dask,
]

EVENTS = [{"id": str(n), "email": f"person{n}@example.org", "amount": f"{n}.50"} for n in range(20)]


@pytest.fixture(scope="module")
def stack(make_stack: Callable) -> Iterator[Any]:
    whole = make_stack()
    whole.run("up", "--profile", "monitoring", "--scale", "dask-worker=1", "--timeout", "240")
    yield whole
    whole.run("down")
    assert whole.processes() == [], "something was left behind"


@pytest.fixture(scope="module")
def key(stack) -> str:
    scopes = [f"--scope={scope}" for scope in ("ingest", "read:sources", "read:metrics")]
    return stack.run("exec", "api-1", "onefold", "key", "create", "test", *scopes).strip()


@pytest.fixture(scope="module")
def source(stack, key: str) -> str:
    """A source that takes events over HTTP."""
    sample = stack.root / "volumes" / "home" / "sample.ndjson"
    stack.run("exec", "api-1", "onefold", "init")
    sample.write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    out = "/data/workspace/contracts/till.yaml"
    stack.run("exec", "api-1", "onefold", "source", "draft", str(sample), "--http", "--name", "till", "--out", out)
    stack.run("exec", "api-1", "onefold", "source", "check", out)
    return "till"


def ask(url: str, *, key: str | None = None, body: Any = None, patience: float = 30) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://{url}", data, headers), timeout=patience) as answer:
        text = answer.read().decode()
    return json.loads(text) if "json" in answer.headers["Content-Type"] else text


def eventually(look: Callable[[], Any], what: str, patience: float = 40) -> Any:
    """Ask until the answer is true."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"not within {patience:g} s: {what}"
        time.sleep(0.25)
    return found


def figures(text: str, name: str, **labels: str) -> dict[str, float]:
    """Lines of a Prometheus page: value by the line's labels."""
    found = [line.rpartition(" ") for line in text.splitlines() if line.startswith(name + "{")]
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return {line: float(value) for line, _, value in found if all(part in line for part in wanted)}


def test_every_service_is_well(stack) -> None:
    states = {name: told["state"] for name, told in stack.state().items()}
    assert set(states.values()) == {"healthy", "done"}
    assert [name for name, state in states.items() if state == "done"] == ["storage-init", "monitoring-key"]
    assert stack.run("ps").count("healthy") == len(states) - 2


def test_the_api_answers_through_the_proxy_from_every_replica(stack) -> None:
    proxy = stack.at("api-proxy", 8000)
    for _ in range(6):
        assert ask(f"{proxy}/openapi.json")["paths"]
    page = ask(f"{stack.at('api-proxy', 8404)}/metrics")
    served = figures(page, "haproxy_server_http_responses_total", proxy="replicas", code="2xx")
    assert len([line for line, count in served.items() if count >= 3]) == 2, served


def test_who_signed_in_at_one_replica_is_signed_in_at_all(stack, key: str) -> None:
    proxy = f"http://{stack.at('api-proxy', 8000)}"
    jar = http.cookiejar.CookieJar()

    def page(path: str, form: dict[str, str] | None = None) -> str:
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            return browser.open(f"{proxy}{path}", data, timeout=30).read().decode()
        except (
            urllib.error.HTTPError
        ) as error:  # 503: nothing is published here, which only who is signed in is told
            return error.read().decode()

    assert "api_key" in page("/")
    page("/sign-in", {"api_key": key})
    assert len(jar) == 1
    for _ in range(4):
        assert "api_key" not in page("/")
    next(iter(jar)).value = "forged"
    assert "nothing is published" not in page("/")


def test_events_land_through_the_balancer_while_a_node_and_a_replica_are_gone(stack, key: str, source: str) -> None:
    url = f"{stack.at('api-proxy', 8000)}/v1/ingest/{source}"

    def land(events: list[dict[str, str]]) -> dict[str, Any]:
        receipt = ask(url, key=key, body=events)["receipt"]

        def committed() -> Any:
            told = ask(f"{url}/receipts/{receipt}", key=key)
            return told if told["state"] == "committed" else None

        return eventually(committed, "the events are in storage", patience=90)

    assert land(EVENTS[:10])["landed"] == 10
    stack.run("stop", "minio-4", "api-2")
    assert land(EVENTS[10:])["landed"] == 10
    told = json.loads(stack.run("exec", "prefect-worker", "onefold", "status", "--json"))
    assert sum(package["landed"] for package in told["packages"] if package["source"] == source) == len(EVENTS)
    drives = [
        d for d in (stack.root / "volumes").glob("minio-*") if list(d.glob(f"onefold/lake/bronze/{source}/*"))
    ]
    assert len(drives) == 8, "the first events are on every drive"
    stack.run("up", "minio-balancer")
    assert stack.state()["minio-4"]["starts"] == 2


def test_the_broker_knows_its_users_and_nobody_else(stack) -> None:
    broker = stack.at("api-proxy", 1883).split(":")[0]
    said = stack.start("exec", "mosquitto", "mosquitto_sub", "-h", broker, "-t", "sources/#", "-C", "1", "-W", "20")
    line = "-h {0} -t sources/till -m {1}"
    word = 'mosquitto_pub -u source -P "$MQTT_SOURCE_PASSWORD" '
    send = [
        "exec",
        "mosquitto",
        "sh",
        "-c",
        f"for i in 1 2 3 4 5 6 7 8; do {word}{line.format(broker, 'hello')}; sleep 0.3; done",
    ]
    stack.run(*send)
    assert said.communicate(timeout=40)[0].strip() == "hello"
    nobody = ["env", "XDG_CONFIG_HOME=/nowhere", "mosquitto_pub", *line.format(broker, "hello").split()]
    assert "not authorised" in stack.run("exec", "mosquitto", *nobody, code=5)


def test_no_secret_is_in_a_log_or_on_a_command_line(stack, secrets_of_compose: dict[str, str]) -> None:
    logs = "".join(path.read_text(errors="replace") for path in (stack.root / "logs").glob("*.log"))
    lines = "\n".join(stack.processes())
    for name, value in secrets_of_compose.items():
        if name.endswith(("PASSWORD", "SECRET_KEY")):
            assert value not in logs, f"{name} is in a log"
            assert value not in lines, f"{name} is on a command line"


def test_prometheus_sees_every_service(stack) -> None:
    def all_up() -> dict[str, str]:
        targets = ask(f"{stack.at('prometheus', 9090)}/api/v1/targets")["data"]["activeTargets"]
        health = {f"{t['labels']['job']} {t['labels']['instance']}": t["health"] for t in targets}
        return health if set(health.values()) == {"up"} else {}

    jobs = [name.split()[0] for name in eventually(all_up, "every target is up")]
    assert {job: jobs.count(job) for job in ("minio-node", "api", "dask-worker", "proxy")} == {
        "minio-node": 4, "api": 2, "dask-worker": 1, "proxy": 2,
    }  # fmt: skip
    query = urllib.parse.quote('haproxy_server_status{proxy="mqtt",state="UP"} == 1')
    asked = f"{stack.at('prometheus', 9090)}/api/v1/query?query={query}"
    assert eventually(lambda: ask(asked)["data"]["result"], "the broker is seen through the proxy")


def test_workers_are_added_without_touching_the_others(stack) -> None:
    scheduler = stack.at("dask-scheduler", 8787)
    before = stack.state()
    stack.run("up", "--scale", "dask-worker=2", "dask-worker")
    after = stack.state()
    assert after["dask-worker-1"]["pid"] == before["dask-worker-1"]["pid"]
    assert after["prefect-server"]["pid"] == before["prefect-server"]["pid"]
    assert ask(f"{scheduler}/json/counts.json")["workers"] == 2


def test_only_their_owner_can_look_into_volumes_and_logs(stack) -> None:
    for folder in [*(stack.root / "volumes").iterdir(), stack.root / "logs"]:
        assert folder.stat().st_mode & 0o077 == 0, folder
    assert (stack.root / "wanted.json").stat().st_mode & 0o077 == 0
    assert Path(stack.root / "volumes" / "prometheus" / "api.key").stat().st_mode & 0o077 == 0
