"""A bucket of an S3-compatible store.  Credentials, region and endpoint come from the usual AWS variables and files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

from logs_db.archive.extra import load
from logs_db.archive.store import unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logs_db.archive.errors import ArchiveError

PART_BYTES: Final = 8 * 1024 * 1024
"""What is uploaded at a time, and held in memory for it; 10,000 of them make the longest file, 80 GB."""

ATTEMPTS: Final = 3
SECONDS: Final = 60
"""How often and for how long each request is tried."""


class Bucket:
    """Files below a prefix of a bucket: each appears as a whole, when its upload is completed."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._root = f"{bucket}/{prefix}" if prefix else bucket
        self._key_prefix = f"{prefix}/" if prefix else ""
        self._files = load("s3fs").S3FileSystem(
            anon=False,
            default_block_size=PART_BYTES,
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs={"retries": {"max_attempts": ATTEMPTS}, "read_timeout": SECONDS, "connect_timeout": 10},
        )

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """See `Store`."""
        with self._told("cannot be written", name):
            file = self._files.open(f"{self._root}/{name}", "wb")
            try:
                yield file
            except BaseException:
                file.discard()
                file.closed = True
                raise
            file.close()

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """See `Store`."""
        with self._told("cannot be read", name), self._files.open(f"{self._root}/{name}", "rb") as file:
            yield file

    def names(self, prefix: str) -> list[str]:
        """See `Store`."""
        folder = f"{self._root}/{prefix.rpartition('/')[0]}"
        with self._told("cannot be listed", prefix):
            try:
                found = self._files.ls(folder, detail=False)
            except FileNotFoundError:
                # Either nothing is there yet, or the bucket itself is missing, which this tells.
                self._files.call_s3("head_bucket", Bucket=self._bucket)
                found = []
        names = [path.removeprefix(f"{self._root}/") for path in found]
        return sorted(name for name in names if name.startswith(prefix))

    def remove(self, name: str) -> None:
        """See `Store`."""
        with self._told("cannot be removed", name):
            self._files.rm_file(f"{self._root}/{name}")

    def abandon(self, prefix: str) -> None:
        """See `Store`."""
        with self._told("cannot be cleaned", prefix):
            answer: dict[str, Any] = self._files.call_s3(
                "list_multipart_uploads", Bucket=self._bucket, Prefix=self._key_prefix + prefix
            )
            for upload in answer.get("Uploads", []):
                self._files.call_s3(
                    "abort_multipart_upload", Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )

    def arrow_paths(self, names: list[str]) -> tuple[list[str], Any]:
        """See `Store`."""
        return [f"{self._root}/{name}" for name in names], self._files

    def location(self, name: str) -> str:
        """See `Store`."""
        return f"s3://{self._root}/{name}"

    @contextmanager
    def _told(self, what: str, name: str) -> Iterator[None]:
        errors = load("botocore.exceptions")
        try:
            yield
        except errors.NoCredentialsError as exc:
            raise self._unusable(what, name, "there are no credentials: set AWS_ACCESS_KEY_ID and its kin") from exc
        except FileNotFoundError as exc:
            raise self._unusable(what, name, "there is no such file, or no such bucket") from exc
        except (OSError, errors.BotoCoreError, errors.ClientError) as exc:
            raise self._unusable(what, name, str(exc)) from exc

    def _unusable(self, what: str, name: str, why: str) -> ArchiveError:
        return unusable(self.location(name), what, why)
