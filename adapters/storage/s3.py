"""Storage in a bucket that speaks the protocol of S3, through boto3.

Life of an upload: the source is hashed (`stage`), read again part by part for the upload, and what is sent is hashed once more, so
that only the bytes that were recorded can get the name. The name is given by the server, exclusively (`If-None-Match: *`). Then
the server has to show that it stored what was sent: its ETag is the MD5 of the bytes it has, or of the MD5s of the parts; where
the ETag is something else, as with KMS keys, the object is read back in full and its SHA-256 compared.

Each upload carries a random mark in its metadata. It tells an upload whose answer was lost from one by another writer, so
that a repetition is no conflict, and a failed upload removes its own object only.

Crash points: before the last request nothing is visible, though parts may be left (`clean_leftovers` ends such uploads); after it
the object is whole, though perhaps known to nobody yet.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from lineagelog.adapters.storage import retry
from lineagelog.adapters.storage.base import OWN_FOLDER, Hashed, Progress, StoredObject, check_path, etag_hash
from lineagelog.adapters.storage.hashing import changed, fingerprint_of, missing
from lineagelog.adapters.storage.parallel import N_WORKERS, in_order
from lineagelog.adapters.storage.remote import RemoteStorage, Source, as_one, needs_package, taken, translated
from lineagelog.adapters.storage.retry import ATTEMPTS, again
from lineagelog.domain.errors import (
    ContentChangedError,
    DigestMismatchError,
    LineageLogError,
    ObjectMissingError,
    StorageError,
    StoreReadOnlyError,
)

PART_BYTES: Final = 16 << 20
_MAX_PARTS: Final = 10_000
_PARTS_AT_A_TIME: Final = 4
_MARK: Final = "lineagelog-upload"

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_TAKEN: Final = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
_DENIED: Final = frozenset(
    {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
)

R = TypeVar("R")

_CUT: Final = frozenset({"IncompleteReadError", "ReadTimeoutError", "ResponseStreamingError", "ProtocolError"})


class _Part(NamedTuple):
    """A part of an upload.

    Attributes:
        number: Its place, from 1.
        md5: MD5 of its bytes.
        etag: What the server calls it.
    """

    number: int
    md5: bytes
    etag: str


class S3Storage(RemoteStorage):
    """A bucket, or a part of one."""

    def __init__(
        self,
        root: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare to connect; nothing is asked of the server yet.

        Args:
            root: URL in the form that `normalise_root` gives.
            region: Region of the bucket.
            endpoint_url: Address of a server that is not Amazon's; the environment's `AWS_ENDPOINT_URL` wins.
            options: `key`, `secret`, `token` and `endpoint_url`, in place of the environment and the profile.

        Raises:
            StorageError: boto3 or s3fs is missing.
        """
        try:
            import boto3  # noqa: F401 - told when the location is opened, not when it is first used
        except ImportError as exc:
            raise needs_package("s3", exc) from exc
        given = dict(options or {})
        in_environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self._endpoint_url = given.pop("endpoint_url", None) or in_environment or endpoint_url
        self._region = region
        self._credentials = {name: given[name] for name in ("key", "secret", "token") if name in given}
        self.options = {
            "endpoint_url": self._endpoint_url,
            "client_kwargs": {"region_name": region} if region is not None else {},
        }
        super().__init__(root, "s3", options={**self.options, **given})
        self._bucket, _, self._prefix = root.removeprefix("s3://").partition("/")
        self._connected: tuple[int, Any] | None = None
        self._connecting = threading.Lock()

    def vouched_hash(self, path: str) -> Hashed:
        """Take the SHA-256 that the server keeps of all bytes, else the ETag."""
        with self._translated(path):
            head = self._client.head_object(Bucket=self._bucket, Key=self._s3_key(path), ChecksumMode="ENABLED")
        size, checksum = head["ContentLength"], head.get("ChecksumSHA256", "")
        # The SHA-256 of an upload in parts is one of the parts' hashes: `…-3`.
        if checksum and "-" not in checksum and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            return Hashed(size, base64.b64decode(checksum).hex())
        return etag_hash(self.url(path), size, head["ETag"].strip('"'))

    def exists(self, path: str) -> bool:
        """Tell whether an object lies at a path or under it."""
        try:
            self._head(path)
        except ObjectMissingError:
            return self.is_folder(path)
        return True

    def stat(self, path: str) -> StoredObject | None:
        """Say what lies at a path without reading it."""
        try:
            head = self._head(path)
        except ObjectMissingError:
            return as_one(path, self.list_files(path))
        return StoredObject(path, head["ContentLength"], head["LastModified"].astimezone(UTC), False)

    def is_folder(self, path: str) -> bool:
        """Tell whether objects lie under a path."""
        with self._translated(path):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._s3_key(path) + "/", MaxKeys=1)
        return bool(found.get("KeyCount"))

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """List what lies directly under a prefix."""
        depth = prefix.count("/") + 2

        def direct(found: StoredObject) -> tuple[str, bool]:
            parts = found.path.split("/")
            return "/".join(parts[:depth]), len(parts) > depth

        # Keys come in the order of their bytes, so those of one folder follow one another.
        for (path, _), members in groupby(self.list_files(prefix), direct):
            found = as_one(path, members)
            if found is not None:
                yield found

    def list_files(self, path: str | None = None) -> Iterator[StoredObject]:
        """List all objects under a path; empty ones whose name ends with a slash only mark a folder."""
        key = self._s3_key(path) if path is not None else self._prefix
        prefix = f"{key}/" if key else ""
        with self._translated(path):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(prefix)
                    if name and not name.endswith("/"):
                        modified = found["LastModified"].astimezone(UTC)
                        full = name if path is None else f"{path}/{name}"
                        yield StoredObject(full, found["Size"], modified, False)

    def delete(self, path: str) -> None:
        """Remove an object, and all objects under a path."""
        key = self._s3_key(path)
        with self._translated(path):
            self._client.delete_object(Bucket=self._bucket, Key=key)
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=key + "/")
            for page in pages:
                keys = [{"Key": found["Key"]} for found in page.get("Contents", ())]
                if not keys:
                    continue
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
                for error in answer.get("Errors", ()):
                    raise StorageError(
                        f"{self.url(path)} was removed in part only: {error.get('Message')} ({error.get('Key')}); check the "
                        "credentials and try again"
                    )

    def clean_leftovers(self, older_than_s: float = 86_400.0) -> int:
        """End uploads in parts that killed writers have begun in the folder of this software."""
        limit = datetime.now(UTC) - timedelta(seconds=older_than_s)
        n_ended = 0
        with self._translated(OWN_FOLDER):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._s3_key(OWN_FOLDER) + "/"
            )
            for page in pages:
                for found in page.get("Uploads", ()):
                    if found["Initiated"] <= limit:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=found["Key"], UploadId=found["UploadId"]
                        )
                        n_ended += 1
        return n_ended

    def upload(self, member: Source, path: str, progress: Progress | None = None) -> None:
        """Upload one file, and make sure that the server has what was hashed; see `RemoteStorage.upload`."""
        if fingerprint_of(member.source) != member.fingerprint:
            raise changed(member.source)
        mark = secrets.token_hex(16)
        put = self._put_whole if member.hashed.size_bytes <= PART_BYTES else self._put_parts
        with self._translated(path):
            try:
                proven = put(member, path, mark, progress)
                if not proven:
                    stored = self.read_object(path, None, None)
                    if stored != member.hashed:
                        raise DigestMismatchError(self.url(path), member.hashed.hash, stored.hash)
                if fingerprint_of(member.source) != member.fingerprint:
                    raise changed(member.source)
            except BaseException:
                # Whatever became of the request: an object that bears this mark is ours, and must not stay.
                with suppress(Exception):
                    if self._is_marked(path, mark):
                        self.delete(path)
                raise

    def _put_whole(self, member: Source, path: str, mark: str, progress: Progress | None) -> bool:
        """Send a file in one request, and tell whether the ETag proves that it arrived."""
        content = member.source.read_bytes()
        sha256 = hashlib.sha256(content)
        if sha256.hexdigest() != member.hashed.hash:
            raise changed(member.source)
        # A server that knows checksums refuses other bytes itself.
        checksum = base64.b64encode(sha256.digest()).decode()
        request = {"Bucket": self._bucket, "Key": self._s3_key(path), "Body": content, "ChecksumSHA256": checksum}
        etag = self._exclusively(self._client.put_object, path, mark, request | {"Metadata": {_MARK: mark}})
        if progress is not None:
            progress(len(content))
        return etag == hashlib.md5(content, usedforsecurity=False).hexdigest()

    def _put_parts(self, member: Source, path: str, mark: str, progress: Progress | None) -> bool:
        """Send a file in parts, several at a time, and tell whether the ETags prove that they arrived."""
        place = {"Bucket": self._bucket, "Key": self._s3_key(path)}
        upload_id = self._client.create_multipart_upload(**place, Metadata={_MARK: mark})["UploadId"]
        place["UploadId"] = upload_id
        digest = hashlib.sha256()

        def send(numbered: tuple[int, bytes]) -> _Part:
            number, block = numbered
            md5 = hashlib.md5(block, usedforsecurity=False)
            answer = self._client.upload_part(**place, PartNumber=number, Body=block)
            if progress is not None:
                progress(len(block))
            return _Part(number, md5.digest(), answer["ETag"].strip('"'))

        try:
            blocks = _read_parts(member.source, _part_bytes(member.hashed.size_bytes), digest)
            parts = list(in_order(send, blocks, _PARTS_AT_A_TIME))
            if digest.hexdigest() != member.hashed.hash:
                raise changed(member.source)
            listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
            request = place | {"MultipartUpload": {"Parts": listed}}
            etag = self._exclusively(self._client.complete_multipart_upload, path, mark, request)
        except BaseException:
            with suppress(Exception):
                self._client.abort_multipart_upload(**place)
            raise
        whole = hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False).hexdigest()
        return etag == f"{whole}-{len(parts)}" and all(part.etag == part.md5.hex() for part in parts)

    def _exclusively(self, call: Any, path: str, mark: str, request: dict[str, Any]) -> str:
        """Make the request that gives an object its name, and return the object's ETag.

        Where an answer was lost, the repetition finds the name taken, or the upload gone: then the mark tells who took it.
        """
        from botocore.exceptions import ClientError

        try:
            answer = call(**request, IfNoneMatch="*")
        except ClientError as exc:
            if _code(exc) not in _TAKEN | _MISSING or not self._is_marked(path, mark):
                raise
            answer = self._head(path)
        return str(answer["ETag"]).strip('"')

    def _is_marked(self, path: str, mark: str) -> bool:
        try:
            return bool(self._head(path).get("Metadata", {}).get(_MARK) == mark)
        except ObjectMissingError:
            return False

    def _head(self, path: str) -> dict[str, Any]:
        with self._translated(path):
            return cast("dict[str, Any]", self._client.head_object(Bucket=self._bucket, Key=self._s3_key(path)))

    def _read(self, path: str, target: Path | None, progress: Progress | None) -> Hashed:
        """Read an object, or all objects under a path; most are single ones, which need no look beforehand."""
        try:
            return self.read_object(path, target, progress)
        except ObjectMissingError:
            if target is not None:
                target.unlink(missing_ok=True)
            return super()._read(path, target, progress)

    def _is_passing(self, exc: BaseException) -> bool:  # noqa: ARG002 - requests and parts have been repeated one by one
        return False

    def _blocks(self, path: str) -> Iterator[bytes]:
        """Read an object, several parts at a time; all parts are of the same version of it."""
        request = {"Bucket": self._bucket, "Key": self._s3_key(path)}
        first, size, etag = _again_if_cut(partial(self._first_part, request))
        yield first

        def part(start: int) -> bytes:
            last = min(start + PART_BYTES, size) - 1
            answer = self._client.get_object(**request, Range=f"bytes={start}-{last}", IfMatch=etag)
            return _whole_body(answer)

        try:
            yield from in_order(
                lambda start: _again_if_cut(partial(part, start)),
                range(len(first), size, PART_BYTES),
                _PARTS_AT_A_TIME,
            )
        except Exception as exc:
            if _code(exc) in _TAKEN:
                raise ContentChangedError(
                    f"{self.url(path)} changed while it was being read, so nothing was saved; wait until its writer is done "
                    "and try again"
                ) from exc
            raise

    def _first_part(self, request: dict[str, Any]) -> tuple[bytes, int, str]:
        """Read the beginning of an object, and find out its size and version."""
        try:
            answer = self._client.get_object(**request, Range=f"bytes=0-{PART_BYTES - 1}")
        except Exception as exc:
            if _code(exc) not in ("416", "InvalidRange"):
                raise
            # Of an empty object no range can be read.
            answer = self._client.get_object(**request)
        content = _whole_body(answer)
        total = answer.get("ContentRange", "").rpartition("/")[2]
        return content, int(total) if total.isdigit() else len(content), answer["ETag"]

    @property
    def _client(self) -> Any:
        """The connections of this process; those of a parent process are not used."""
        with self._connecting:
            if self._connected is None or self._connected[0] != os.getpid():
                self._connected = (os.getpid(), self._connect())
            return self._connected[1]

    def _connect(self) -> Any:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config

        given = self._credentials
        session = boto3.session.Session(
            aws_access_key_id=given.get("key"),
            aws_secret_access_key=given.get("secret"),
            aws_session_token=given.get("token"),
            region_name=self._region,
        )
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=retry.CONNECT_TIMEOUT_S,
            read_timeout=retry.READ_TIMEOUT_S,
            max_pool_connections=4 * N_WORKERS,
            # What is sent is proven by hashes of our own; servers that are not Amazon's refuse the default ones.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        if session.get_credentials() is None:
            # Public buckets are read without any.
            config = config.merge(Config(signature_version=UNSIGNED))
        return session.client("s3", endpoint_url=self._endpoint_url, config=config)

    def _s3_key(self, path: str) -> str:
        return f"{self._prefix}/{check_path(path)}" if self._prefix else check_path(path)

    def _translate(self, exc: Exception, path: str | None) -> LineageLogError | None:
        code = _code(exc)
        if code == "NoSuchBucket":
            return ObjectMissingError(
                f"there is no bucket {self._bucket} for {self._where(path)}; check the name, the region and the endpoint"
            )
        if code in _MISSING:
            return missing(self._where(path))
        if code in _TAKEN:
            return taken(self._where(path))
        if code in _DENIED:
            return StoreReadOnlyError(
                f"{self._where(path)} cannot be used: access was refused ({code}); check the credentials in the environment, the "
                "profile, and the rights they give"
            )
        return translated(exc, self._where(path))


class _CutOffError(Exception):
    """An answer broke off, or fell silent, after it had begun. What happens before has been tried again by botocore."""


def _again_if_cut(call: Callable[[], R]) -> R:
    try:
        return again(call, lambda exc: isinstance(exc, _CutOffError))
    except _CutOffError as exc:
        raise exc.__cause__ or exc from None


def _code(exc: BaseException | None) -> str | None:
    """Find the code of the server's answer in an error of botocore, or in one that was made from it."""
    while exc is not None:
        response = getattr(exc, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        exc = exc.__cause__
    return None


def _whole_body(answer: dict[str, Any]) -> bytes:
    try:
        with answer["Body"] as body:
            return cast("bytes", body.read())
    except Exception as exc:
        if any(kind.__name__ in _CUT for kind in type(exc).__mro__):
            raise _CutOffError from exc
        raise


def _part_bytes(size_bytes: int) -> int:
    """Choose the size of parts, so that there are not more than the server takes."""
    return max(PART_BYTES, -(-size_bytes // (_MAX_PARTS - 1)))


def _read_parts(source: Path, part_bytes: int, digest: Any) -> Iterator[tuple[int, bytes]]:
    with source.open("rb") as file:
        number = 0
        while block := file.read(part_bytes):
            number += 1
            digest.update(block)
            yield number, block
