"""What MinIO's administration refuses is told for what it is, by a real server."""

from __future__ import annotations

from typing import Any

import pytest

from onefold_storage.buckets import prepare
from onefold_storage.errors import Forbidden
from onefold_storage.minio_admin import AdminApi
from onefold_storage.settings import StorageSettings

pytestmark = pytest.mark.needs_minio


def _api(minio: Any, **given: Any) -> AdminApi:
    made = AdminApi.of(StorageSettings(**{**minio.settings("asks"), **minio.root(), **given}))
    assert made
    return made


@pytest.mark.parametrize("wrong", [{"s3_root_password": "not-the-password"}, {"s3_root_user": "nobody"}])
def test_wrong_credentials_of_root_are_told_as_such(minio: Any, wrong: dict[str, str]) -> None:
    says = "credentials are refused .*; check ONEFOLD_S3_ROOT_USER and ONEFOLD_S3_ROOT_PASSWORD"
    with pytest.raises(Forbidden, match=says) as told:
        _api(minio, **wrong).information()
    assert "not-the-password" not in str(told.value)


def test_those_of_the_platform_too(minio: Any) -> None:
    with pytest.raises(Forbidden, match="check ONEFOLD_S3_ACCESS_KEY and ONEFOLD_S3_SECRET_KEY"):
        _api(minio, s3_root_user=None, s3_access_key="nobody-at-all").information()


def test_a_user_who_may_not_ask_is_told_who_may(minio: Any) -> None:
    settings = StorageSettings(**{**minio.settings("asks"), **minio.root()})
    prepare(settings)
    with pytest.raises(Forbidden, match="may not ask for info; set ONEFOLD_S3_ROOT_USER"):
        _api(minio, s3_root_user=None).information()
