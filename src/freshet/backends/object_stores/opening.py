"""Opening what a URL names, with the clients' settings that all of Freshet has.

Credentials, region and endpoint come from the environment, by the names that the services' own tools read
(`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AZURE_STORAGE_*`, `GOOGLE_*`), or from the machine.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

    AnyStore = AzureStore | GCSStore | S3Store

NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
"""In what services answer where not only the object is missing."""
TRIES = 5
"""Further tries of a request that failed."""
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
"""Variables that name a server; one that speaks plain HTTP is talked to in plain HTTP."""


def open_url(url: str) -> AnyStore:
    """The client of a bucket, or of a part of it below a prefix. Nothing is asked yet.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

    Raises:
        ModuleNotFoundError: `obstore` is not installed.
        Exception: of `obstore`, where settings are missing or can't be read.
    """
    from obstore.store import AzureStore, GCSStore, S3Store

    client, retries = _client(), _retries()
    if url.startswith("gs://"):
        return GCSStore.from_url(url, client_options=client, retry_config=retries)
    if url.startswith("az://"):
        return AzureStore.from_url(url, client_options=client, retry_config=retries)
    # a region must be named, although a server of one's own has no use for it
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return S3Store.from_url(url, client_options=client, retry_config=retries, region=region)


def _client() -> ClientConfig:
    plain = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS)
    emulated = os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true")
    return {
        "allow_http": plain or emulated,
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=30),
        "timeout": timedelta(minutes=10),  # of a whole request, such as a large download
    }


def _retries() -> RetryConfig:
    return {
        "max_retries": TRIES,
        "retry_timeout": timedelta(seconds=60),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
