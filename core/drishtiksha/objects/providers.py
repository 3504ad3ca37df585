"""The object stores by the names that STORAGE_PROVIDER takes, each made from its own settings.

Ours stand in a table here. A package of somebody else adds one by an entry point of the group `drishtiksha.objects`:
a callable without arguments that reads its own settings, raises BadSettings, and returns an `Objects`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, cast
from urllib.parse import urlsplit

from drishtiksha import settings
from drishtiksha.domain.errors import BadSettings

from . import Objects

GROUP = "drishtiksha.objects"


def open_objects(provider: str | None = None) -> Objects:
    """The store of this name, or else of the settings. Asks nobody yet. Raises BadSettings."""
    name = provider or settings.load(settings.Storage).provider
    if name in OURS:
        return OURS[name]()
    others = entry_points(group=GROUP)
    found = [other for other in others if other.name == name]
    if not found:
        known = ", ".join(sorted({*OURS, *others.names}))
        raise BadSettings(f"STORAGE_PROVIDER: {name!r} is not known here; there are {known}")
    try:
        make = found[0].load()
    except Exception as error:
        raise BadSettings(f"STORAGE_PROVIDER: {name!r} ({found[0].value}) cannot be loaded: {error}") from error
    return cast(Objects, make())


def local() -> Objects:
    """A folder: LOCAL_STORAGE_PATH."""
    from .local import LocalObjects

    return LocalObjects(settings.load(settings.Storage).local_path.resolve())


def s3() -> Objects:
    """A bucket of Amazon S3, or of a server that speaks its protocol."""
    bucket = settings.load(settings.S3)
    options: dict[str, Any] = {
        "region": bucket.region,
        "virtual_hosted_style_request": not (
            bucket.endpoint is not None if bucket.path_style is None else bucket.path_style
        ),
        "disable_bulk_delete": True,  # not every server has it, and we delete one by one
        "access_key_id": bucket.key_id,
        "secret_access_key": _plain(bucket.key),
        "session_token": _plain(bucket.token),
        "endpoint": bucket.endpoint,
    }
    if bucket.endpoint is not None and options["virtual_hosted_style_request"]:
        at = urlsplit(bucket.endpoint)
        options["endpoint"] = f"{at.scheme}://{bucket.bucket}.{at.netloc}"
    return _remote("S3Store", bucket.bucket, bucket.folder, options, plain=_is_plain(bucket.endpoint))


def gcs() -> Objects:
    """A bucket of Google Cloud Storage."""
    bucket = settings.load(settings.GCS)
    credentials = None if bucket.credentials is None else str(bucket.credentials)
    return _remote("GCSStore", bucket.bucket, bucket.folder, {"application_credentials": credentials})


def azure() -> Objects:
    """A container of Azure Blob Storage."""
    blob = settings.load(settings.Azure)
    options = {"account_name": blob.account, "account_key": _plain(blob.key), "endpoint": blob.endpoint}
    return _remote("AzureStore", blob.container, blob.folder, options, plain=_is_plain(blob.endpoint))


def cloudinary() -> Objects:
    """An account of Cloudinary."""
    given = settings.load(settings.Cloudinary)
    try:
        from .cloudinary import CloudinaryObjects
        from .cloudinary_wire import Account
    except ImportError as error:
        raise BadSettings(
            "STORAGE_PROVIDER: Cloudinary needs the package cloudinary: install drishtiksha[cloudinary]"
        ) from error
    except ValueError:  # the package looks at it as soon as it is imported
        raise BadSettings("CLOUDINARY_URL: begins with cloudinary://; unset it, it is not used") from None
    account = Account(given.cloud, given.key, given.secret.get_secret_value(), given.endpoint)
    return CloudinaryObjects(account, given.folder)


OURS: dict[str, Callable[[], Objects]] = {
    "local": local,
    "s3": s3,
    "gcs": gcs,
    "azure": azure,
    "cloudinary": cloudinary,
}
"""The names that need no other package of somebody else."""


def _remote(kind: str, bucket: str, folder: str | None, options: dict[str, Any], *, plain: bool = False) -> Objects:
    try:
        from obstore import store
        from obstore.exceptions import BaseError

        from .patience import Patience
        from .remote import RemoteObjects
    except ImportError as error:
        raise BadSettings(
            "STORAGE_PROVIDER: a bucket needs the package obstore: install drishtiksha[objects]"
        ) from error
    patience = Patience()
    given = {name: value for name, value in options.items() if value is not None}
    client = {**patience.client(), "allow_http": plain, "user_agent": "drishtiksha"}
    try:
        made = getattr(store, kind)(
            bucket, prefix=folder, config=given, client_options=client, retry_config=patience.retry()
        )
    except (BaseError, ValueError):
        raise BadSettings(
            "STORAGE_PROVIDER: the settings of the bucket do not fit together; see docs/api/storage.md"
        ) from None
    return RemoteObjects(made, patience)


def _plain(secret: Any) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _is_plain(endpoint: str | None) -> bool:
    return endpoint is not None and endpoint.startswith("http://")
