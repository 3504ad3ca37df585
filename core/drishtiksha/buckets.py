"""The settings of object stores that somebody else runs: Amazon S3 and what speaks its protocol, Google Cloud Storage,
Azure, Cloudinary.

`objects.providers` makes the clients; only the group of the chosen provider is read.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FilePath, SecretStr, model_validator

from .reading import Group

Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")]
"""A folder within a bucket, without a slash at its ends; one bucket may serve several platforms."""
Server = Annotated[str, Field(pattern=r"^https?://[^/\s?#@]+$")]
"""Scheme, host and port, without a slash at the end."""


class S3(Group):
    """Amazon S3, or a server that speaks its protocol. Without keys: the role of the machine or the pod."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", validation_alias="DRISHTIKSHA_S3_BUCKET")
    """The bucket of the provider `s3`; it has to be there."""
    folder: Folder | None = Field(default=None, validation_alias="DRISHTIKSHA_S3_PREFIX")
    """A folder within it; one bucket may serve several platforms."""
    region: str = Field(default="us-east-1", pattern=r"^[A-Za-z0-9-]{1,64}$", validation_alias="AWS_REGION")
    """Where the bucket lies."""
    endpoint: Server | None = Field(default=None, validation_alias="DRISHTIKSHA_S3_ENDPOINT")
    """A server of your own that speaks S3: scheme, host and port."""
    path_style: bool | None = Field(default=None, validation_alias="DRISHTIKSHA_S3_PATH_STYLE")
    """The bucket in the path, not in the host's name. Unset: with an endpoint of your own, yes; with Amazon's, no."""
    key_id: str | None = Field(default=None, validation_alias="AWS_ACCESS_KEY_ID")
    """Unset, with the next one: the role of the machine or the pod."""
    key: SecretStr | None = Field(default=None, validation_alias="AWS_SECRET_ACCESS_KEY")
    """The secret of the key above."""
    token: SecretStr | None = Field(default=None, validation_alias="AWS_SESSION_TOKEN")
    """Of a temporary key."""

    @model_validator(mode="after")
    def _both_keys(self) -> S3:
        if (self.key_id is None) != (self.key is None):
            raise ValueError("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: set both, or none")
        return self


class GCS(Group):
    """Google Cloud Storage. Without a credentials file: the service account of the machine or the pod."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", validation_alias="DRISHTIKSHA_GCS_BUCKET")
    """The bucket of the provider `gcs`; it has to be there."""
    folder: Folder | None = Field(default=None, validation_alias="DRISHTIKSHA_GCS_PREFIX")
    """A folder within it."""
    credentials: FilePath | None = Field(default=None, validation_alias="GOOGLE_APPLICATION_CREDENTIALS")
    """A file with a service account's key. Unset: the account of the machine or the pod."""


class Azure(Group):
    """Azure Blob Storage. Without an account key: the managed identity of the machine or the pod."""

    container: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{1,61}[a-z0-9])$", validation_alias="DRISHTIKSHA_AZURE_CONTAINER"
    )
    """The container of the provider `azure`; it has to be there."""
    folder: Folder | None = Field(default=None, validation_alias="DRISHTIKSHA_AZURE_PREFIX")
    """A folder within it."""
    account: str = Field(pattern=r"^[a-z0-9]{3,24}$", validation_alias="AZURE_STORAGE_ACCOUNT_NAME")
    """The storage account."""
    key: SecretStr | None = Field(default=None, validation_alias="AZURE_STORAGE_ACCOUNT_KEY")
    """Its key. Unset: the managed identity of the machine or the pod."""
    endpoint: str | None = Field(
        default=None, pattern=r"^https?://[^\s?#@]+$", validation_alias="DRISHTIKSHA_AZURE_ENDPOINT"
    )
    """A server of your own that speaks Azure's protocol."""


class Cloudinary(Group):
    """Cloudinary: its console shows the three under API Keys. The key needs the Upload and the Admin API."""

    cloud: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", validation_alias="CLOUDINARY_CLOUD_NAME")
    """The account, or the product environment of it, of the provider `cloudinary`."""
    key: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", validation_alias="CLOUDINARY_API_KEY")
    """The name of the key."""
    secret: SecretStr = Field(min_length=1, validation_alias="CLOUDINARY_API_SECRET")
    """Its secret."""
    folder: Folder | None = Field(default=None, validation_alias="DRISHTIKSHA_CLOUDINARY_PREFIX")
    """A folder for our files; one account may serve several platforms."""
    endpoint: Server = Field(default="https://api.cloudinary.com", validation_alias="DRISHTIKSHA_CLOUDINARY_ENDPOINT")
    """Where its API answers: that of another data centre, for accounts that live there."""
