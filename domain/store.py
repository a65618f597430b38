"""Events about the store as a whole: its creation, its checkpoints and their keys, what was exported from it."""

from __future__ import annotations

from lineagelog.domain.event import Event, recorded_as

FORMAT_VERSION = 1
"""Number of the form in which this software can write a store; a store with a higher one is only read.

A store that older software has made gets the number of the newest kind of fact that is written to it (`recorded_as`), and so stays
writable for that software until it holds something that software does not know.
"""


@recorded_as("store.created.1")
class StoreCreated(Event, frozen=True):
    """A store was created.

    Attributes:
        uid: Short name of the store, part of the IRIs of everything in it.
        name: Name given by the user.
        modules: Names of the registries beyond the core that were switched on.
        format: `FORMAT_VERSION` of the software that created it.
    """

    uid: str
    name: str
    modules: list[str] = []
    format: int = FORMAT_VERSION


@recorded_as("export.made.1")
class ExportMade(Event, frozen=True):
    """An export left the store.

    Attributes:
        format: Name of the format.
        scope: What was exported: `all`, or the kind and uid of the subject and the conditions.
        up_to_position: Last event the export speaks of.
        root: Merkle tree head of the log up to that position, 64 hexadecimal characters.
        n_statements: PROV statements written, or rows of a table.
        sha256: SHA-256 of the file, by which it is known again, 64 hexadecimal characters; unknown in older logs.
        size_bytes: Size of the file.
    """

    format: str
    scope: str
    up_to_position: int
    root: str
    n_statements: int
    sha256: str | None = None
    size_bytes: int | None = None


@recorded_as("checkpoint.sealed.1")
class CheckpointSealed(Event, frozen=True):
    """The end of the log was signed, to be kept outside the store.

    Attributes:
        up_to_position: Last event the checkpoint speaks of.
        root: Merkle tree head of the log up to that position, 64 hexadecimal characters.
        key: Fingerprint of the key that signed it.
    """

    up_to_position: int
    root: str
    key: str | None = None


@recorded_as("key.registered.1")
class KeyRegistered(Event, frozen=True):
    """A key signs checkpoints of this store from now on. The private half is nowhere in the store.

    Attributes:
        verifier_key: Public key, `name+fingerprint+base64` as in a C2SP signed note.
        replaces: Fingerprint of the key that signs no more, `None` if all others go on.
    """

    verifier_key: str
    replaces: str | None = None
