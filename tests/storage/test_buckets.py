"""The lake's bucket, its rules and its user on a real MinIO; and who is told what in one line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from minio import Minio, MinioAdmin
from minio.commonconfig import ENABLED, GOVERNANCE, Filter
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.objectlockconfig import DAYS, ObjectLockConfig

from onefold_storage.buckets import prepare
from onefold_storage.errors import BadInput, Conflict, Forbidden, Unavailable
from onefold_storage.objects import Objects
from onefold_storage.settings import StorageSettings

pytestmark = pytest.mark.needs_minio


def _settings(minio: Any, bucket: str, **given: Any) -> StorageSettings:
    return StorageSettings(**{**minio.settings(bucket), **minio.root(), **given})


def _client(minio: Any, user: str, secret: str) -> Minio:
    return Minio(minio.endpoint.removeprefix("http://"), access_key=user, secret_key=secret, secure=False)


@pytest.fixture
def root(minio: Any) -> Minio:
    return _client(minio, minio.root_user, minio.root_password)


def test_done_again_nothing_changes(minio: Any) -> None:
    first = prepare(_settings(minio, "twice"), quota=10**9)
    assert first.changed == ("bucket", "lifecycle", "quota", "policy", "user", "permission")
    again = prepare(_settings(minio, "twice"))
    assert (again.changed, again.quota, again.versioning, again.warning) == ((), 10**9, "Off", None)
    assert prepare(_settings(minio, "twice"), quota=0).quota is None


def test_what_was_changed_by_hand_is_set_right_and_other_rules_stay(minio: Any, root: Minio) -> None:
    settings = _settings(minio, "by-hand")
    prepare(settings)
    other = Rule(ENABLED, rule_filter=Filter(prefix="exports/"), rule_id="theirs", expiration=Expiration(days=9))
    root.set_bucket_lifecycle("by-hand", LifecycleConfig([other]))
    admin = MinioAdmin(
        endpoint=minio.endpoint.removeprefix("http://"),
        credentials=StaticProvider(minio.root_user, minio.root_password),
        secure=False,
    )
    admin.policy_set("consoleAdmin", user="user-of-by-hand")
    admin.user_disable("user-of-by-hand")
    assert prepare(settings).changed == ("lifecycle", "user", "permission")
    standing = root.get_bucket_lifecycle("by-hand")
    assert standing is not None
    assert sorted(str(r.rule_id) for r in standing.rules) == ["onefold", "theirs"]
    (ours,) = (r for r in standing.rules if r.rule_id == "onefold")
    assert ours.noncurrent_version_expiration is not None
    assert ours.noncurrent_version_expiration.noncurrent_days == 1
    renewed = _settings(minio, "by-hand", s3_secret_key="a-new-secret")
    assert prepare(renewed).changed == ("user",)
    Objects(renewed.lake, renewed.storage_options).put("work/x", b"x")


def test_the_user_can_do_all_in_the_bucket_and_nothing_anywhere_else(minio: Any, root: Minio) -> None:
    settings = _settings(minio, "ours")
    prepare(settings)
    objects = Objects(settings.lake, settings.storage_options)
    objects.put("work/a", b"a")
    objects.delete_all(["work/a"])
    root.make_bucket("theirs")
    root.put_object("theirs", "secret.txt", BytesIO(b"x"), 1)
    user = _client(minio, "user-of-ours", "secret-of-ours")
    assert [b.name for b in user.list_buckets()] == ["ours"]
    for way in (
        lambda: list(user.list_objects("theirs")),
        lambda: user.get_object("theirs", "secret.txt"),
        lambda: user.remove_object("theirs", "secret.txt"),
        lambda: user.make_bucket("another"),
        lambda: user.remove_bucket("ours"),
        lambda: user.delete_bucket_lifecycle("ours"),
        lambda: user.set_bucket_policy("ours", "{}"),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            way()
    admin = MinioAdmin(
        endpoint=minio.endpoint.removeprefix("http://"),
        credentials=StaticProvider("user-of-ours", "secret-of-ours"),
        secure=False,
    )
    for call in (admin.info, admin.user_list, admin.policy_list, lambda: admin.user_add("me-too", "me-too-secret")):
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            call()
    elsewhere = Objects("s3://theirs/lake", settings.storage_options)
    with pytest.raises(Forbidden, match="theirs"):
        elsewhere.get("secret.txt")


def test_a_bucket_that_is_locked_against_deletion_is_refused(minio: Any, root: Minio) -> None:
    root.make_bucket("locked", object_lock=True)
    assert "versioning" in str(prepare(_settings(minio, "locked")).warning)
    root.set_object_lock_config("locked", ObjectLockConfig(GOVERNANCE, 1, DAYS))
    with pytest.raises(Conflict, match="locked against deletion"):
        prepare(_settings(minio, "locked"))


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"s3_root_password": "not-the-password"}, Forbidden, "ONEFOLD_S3_ROOT_PASSWORD"),
        ({"s3_root_user": "nobody"}, Forbidden, "ONEFOLD_S3_ROOT_USER"),
        ({"s3_root_user": None}, BadInput, "administrator"),
        ({"s3_access_key": None}, BadInput, "ONEFOLD_S3_ACCESS_KEY"),
        ({"s3_secret_key": "short"}, BadInput, "8 or more"),
        ({"lake_url": "/data/lake"}, BadInput, "ONEFOLD_LAKE_URL"),
        ({"s3_endpoint": None}, BadInput, "ONEFOLD_S3_ENDPOINT"),
        ({"s3_endpoint": "http://127.0.0.1:9"}, Unavailable, "does not answer"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, Any], error: type[Exception], says: str, minio: Any) -> None:
    given = {"s3_timeout": 1, "s3_patience": 1, **wrong}
    with pytest.raises(error, match=says) as told:
        prepare(_settings(minio, "wrong", **given))
    assert len(str(told.value).splitlines()) == 1
    assert minio.root_password not in str(told.value)


def test_root_is_never_the_platforms_user(minio: Any) -> None:
    with pytest.raises(BadInput, match="a user of its own"):
        prepare(_settings(minio, "rooted", s3_access_key=minio.root_user, s3_secret_key=minio.root_password))


def test_a_server_that_stalls_is_given_up(minio: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable, match="does not answer"):
            prepare(_settings(minio, "stalls", s3_endpoint=endpoint, s3_timeout=0.2, s3_patience=0.4))


def test_the_command(minio: Any, tmp_path: Path, free_port: Callable[[], int]) -> None:
    settings = {**minio.settings("by-command"), **minio.root(), "home": tmp_path}
    given = {**os.environ, **{f"ONEFOLD_{k.upper()}": str(v) for k, v in settings.items()}}
    command = [str(Path(sys.executable).with_name("onefold")), "storage", "init"]
    done = subprocess.run([*command, "--quota", "2TiB", "--json"], env=given, capture_output=True, check=True)
    facts = json.loads(done.stdout)
    assert (facts["bucket"], facts["quota"]) == ("by-command", 2 * 2**40)
    assert minio.root_password.encode() not in done.stdout
    by_setting = {**given, "ONEFOLD_STORAGE_QUOTA": "3TiB"}
    told = subprocess.run([*command, "--json"], env=by_setting, capture_output=True, check=True).stdout
    assert (json.loads(told)["quota"], json.loads(told)["changed"]) == (3 * 2**40, ["quota"])
    unset = {**given, "ONEFOLD_STORAGE_QUOTA": ""}  # as the compose file gives it where .env has none
    told = subprocess.run([*command, "--json"], env=unset, capture_output=True, check=True).stdout
    assert (json.loads(told)["quota"], json.loads(told)["changed"]) == (3 * 2**40, [])
    wrong = subprocess.run([*command, "--quota", "much"], env=given, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.splitlines()) == (
        2,
        ["onefold: much: expected a size such as 500GB, 2TiB or 0"],
    )
