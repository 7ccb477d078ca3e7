"""The product's images, really built, and their entry points asked. Minutes, so apart: `make image-test`.

Built by Debian's buildah (what a machine without a container engine has), on the pinned base, or where no registry
of images is reached on a Debian made by debootstrap.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = "0.1.0"

pytestmark = [pytest.mark.image, pytest.mark.needs_buildah]


@dataclass(frozen=True)
class Images:
    """Buildah on a storage of its own, and a container of each image."""

    storage: Path
    driver: str = "overlay"

    def buildah(self, *words: str) -> str:
        """Run one of its commands."""
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    @property
    def command(self) -> list[str]:
        """What every command of buildah begins with."""
        places = ["--root", str(self.storage / "images"), "--runroot", str(self.storage / "run")]
        return ["buildah", *places, "--storage-driver", self.driver]

    def inside(self, target: str, *words: str) -> list[str]:
        """The command line that runs words in a container of the target."""
        return [*self.command, "run", "--isolation", "chroot", f"test-{target}", "--", *words]

    def run(self, target: str, *words: str) -> str:
        """Run words in a container of the target."""
        return self.buildah(*self.inside(target, *words)[len(self.command) :])


@pytest.fixture(scope="module")
def images() -> Iterator[Images]:
    built = Images(Path(tempfile.mkdtemp(prefix="onefold-images-")))
    try:
        tried = subprocess.run([*built.command, "from", "scratch"], capture_output=True, check=False)
        if tried.returncode:  # no overlay file systems for this user: whole copies, slower
            built = Images(built.storage, "vfs")
        environment = {**os.environ, "STORAGE": str(built.storage), "STORAGE_DRIVER": built.driver}
        environment["PATH"] = without_engines(built.storage)
        command = ["sh", str(ROOT / "infra" / "image.sh"), "api", "worker"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1500)
        assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
        for target in ("api", "worker"):
            built.buildah("from", "--name", f"test-{target}", f"localhost/onefold-{target}:{VERSION}")
        yield built
    finally:
        subprocess.run([*built.command, "rm", "--all"], capture_output=True, check=False)
        subprocess.run([*built.command, "rmi", "--all", "--force"], capture_output=True, check=False)
        shutil.rmtree(built.storage, ignore_errors=True)


def without_engines(folder: Path) -> str:
    """A PATH on which buildah is the only engine: programs that answer first and say that no engine runs."""
    shims = folder / "shims"
    shims.mkdir()
    for name in ("docker", "podman"):
        (shims / name).write_text("#!/bin/sh\nexit 1\n")
        (shims / name).chmod(0o755)
    return f"{shims}{os.pathsep}{os.environ['PATH']}"


def test_each_image_runs_as_nobody_special_and_owns_its_folders_alone(images: Images) -> None:
    for target in ("api", "worker"):
        assert images.run(target, "id", "-u").strip() == "10001"
        images.run(target, "sh", "-c", "touch /data/x /spool/x && ! touch /opt/onefold/x /etc/x 2>/dev/null")


def test_the_command_line_answers_in_each(images: Images) -> None:
    for target in ("api", "worker"):
        assert "serve" in images.run(target, "onefold", "--help")
        assert json.loads(images.run(target, "onefold", "status", "--json"))["tables"] == []


def test_the_api_serves_from_its_image(images: Images, free_port: Callable[[], int]) -> None:
    port = free_port()
    command = images.inside("api", "onefold", "serve", "--host", "127.0.0.1", "--port", str(port))
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told = answer(f"http://127.0.0.1:{port}/health", serving)
        assert told["ledger"] is True
        assert told["publication"] is None
    finally:
        serving.terminate()
        serving.wait(20)


def answer(url: str, serving: subprocess.Popen[str]) -> dict[str, object]:
    """What the URL answers, once something does."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as got:
                return dict(json.load(got))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except OSError:
            assert serving.poll() is None, serving.stdout.read() if serving.stdout else ""
            assert time.monotonic() < end, "nothing answered within a minute"
            time.sleep(0.2)


def test_every_command_of_the_compose_file_is_in_its_image(images: Images) -> None:
    imports = "import {0}; print({0}.__name__)"
    for module in ("onefold.draining", "onefold.commands.storage", "minio", "s3fs", "psycopg"):
        assert module in images.run("api", "python", "-c", imports.format(module))
    for module in ("onefold_flows.prefect_app", "onefold_flows.deployments", "distributed.cli.dask_worker"):
        assert module in images.run("worker", "python", "-c", imports.format(module))
    assert "Usage" in images.run("worker", "dask", "scheduler", "--help")


def test_an_api_host_carries_neither_dask_nor_a_learner_nor_prefect(images: Images) -> None:
    code = "import importlib.util as u; print([n for n in ('dask','distributed','prefect','sklearn') if u.find_spec(n)])"
    assert images.run("api", "python", "-c", code).strip() == "[]"


def test_nothing_of_the_building_machine_is_left_inside(images: Images) -> None:
    for target in ("api", "worker"):
        said = images.run(target, "sh", "-c", "env; ls -A /run/secrets /src /opt/tools 2>/dev/null; true")
        assert not any(word in said for word in ("INDEX", "PIP_", "SSL_CERT_FILE", "packages")), said
        history = images.buildah("inspect", "--type", "image", f"localhost/onefold-{target}:{VERSION}")
        assert "BASH_ENV" not in json.loads(history)["Docker"]["config"].get("Env", [])
