"""Events about executions: a run starts, reads inputs, and ends in one of three ways."""

from __future__ import annotations

from typing import Final

from lineagelog.domain.errors import RunClosedError
from lineagelog.domain.event import Change, Event, recorded_as
from lineagelog.domain.values import Json

STARTED: Final = "started"
FINISHED: Final = "finished"
FAILED: Final = "failed"
ABORTED: Final = "aborted"
LOST: Final = "lost"
"""What interrupted a run whose process ended without saying so."""

RUN_STATUSES: Final = (STARTED, FINISHED, FAILED, ABORTED)


class GitState(Event, frozen=True):
    """The git checkout a run's code came from.

    Attributes:
        commit: Full commit hash.
        dirty: There were uncommitted changes to tracked files; `None` if nobody knows.
        remote: URL of the remote, without credentials.
        branch: Name of the branch.
        path: Path of the script inside the checkout.
    """

    commit: str
    dirty: bool | None = False
    remote: str | None = None
    branch: str | None = None
    path: str | None = None


@recorded_as("run.started.1")
class RunStarted(Event, frozen=True):
    """A transform began to run.

    Attributes:
        uid: Short name.
        transform: Id of the transform version.
        started_at: When, UTC text of 27 characters.
        name: Name given by the user.
        params: Parameters, secrets redacted.
        redacted: Paths inside `params` whose values were redacted.
        reference: URL or id of the run in another system.
        reference_type: What `reference` is.
        initiated_by: Id of the run that started this one.
        environment: Id of the environment it runs in.
        git: The checkout its code came from.
        command: Command line, secrets redacted.
        pid: Process that the run ends with, on the host of the event; `None` for a run that no process holds open.
        container: Id of the container it runs in, as far as the kernel tells.
    """

    uid: str
    transform: str
    started_at: str
    name: str | None = None
    params: dict[str, Json] = {}
    redacted: list[str] = []
    reference: str | None = None
    reference_type: str | None = None
    initiated_by: str | None = None
    environment: str | None = None
    git: GitState | None = None
    command: list[str] = []
    pid: int | None = None
    container: str | None = None


@recorded_as("run.updated.1")
class RunUpdated(Event, frozen=True):
    """Details of a run changed; old and new value of each."""

    changes: dict[str, Change]


@recorded_as("input.accessed.1")
class InputAccessed(Event, frozen=True):
    """A run read an artifact. It is recorded in the run's stream.

    Attributes:
        artifact: Id of the artifact.
        how: The call that read it: `cache`, `load` or `open`; `declared`; `returned`,
            if a call in the run read it and gave back data; `given`, if data loaded from it were handed to the run.
        accessed_at: When, UTC text of 27 characters.
        role: Part the input plays in the run.
    """

    artifact: str
    how: str
    accessed_at: str
    role: str = "input"


@recorded_as("run.finished.1")
class RunFinished(Event, frozen=True):
    """A run came to its end.

    Attributes:
        finished_at: When, UTC text of 27 characters.
        is_consecutive: The cells of its notebook ran once each, from top to bottom; `None` if it is no notebook, or one whose
            cells are not known.
        stale_cells: Cells of the notebook that were changed after they had run, by their place among all its cells, from 1.
        unrun_cells: Cells of the notebook that did not run, by their place.
        imports: Packages that the notebook had imported, name to version.
    """

    finished_at: str
    is_consecutive: bool | None = None
    stale_cells: list[int] = []
    unrun_cells: list[int] = []
    imports: dict[str, str] = {}


@recorded_as("run.failed.1")
class RunFailed(Event, frozen=True):
    """A run ended by an error.

    Attributes:
        finished_at: When, UTC text of 27 characters.
        error_type: Class of the error.
        message: Text of the error, secrets redacted.
        traceback: Traceback, secrets redacted, its middle cut where it is long.
    """

    finished_at: str
    error_type: str
    message: str
    traceback: str | None = None


@recorded_as("run.aborted.1")
class RunAborted(Event, frozen=True):
    """A run was interrupted.

    Attributes:
        finished_at: When, UTC text of 27 characters; of a run that was lost, when it was found to be.
        why: What interrupted it, such as `SIGINT`, or `lost`.
    """

    finished_at: str
    why: str


@recorded_as("environment.recorded.1")
class EnvironmentRecorded(Event, frozen=True):
    """A software environment was seen for the first time; runs refer to it.

    Attributes:
        hash: SHA-256 of the content, 64 hexadecimal characters.
        python: Version of Python.
        implementation: Name of the Python implementation.
        platform: Operating system, release and machine.
        packages: Installed distributions, name to version.
        hardware: What the machine has, as far as it tells: `cpu`, `n_cpus`, `memory_bytes`.
        conda: Name of the conda environment.
        conda_packages: Packages that conda installed, name to version, those that are no Python distributions included.
    """

    hash: str
    python: str
    implementation: str
    platform: str
    packages: dict[str, str]
    hardware: dict[str, str | int] = {}
    conda: str | None = None
    conda_packages: dict[str, str] = {}


def check_open(uid: str, status: str) -> None:
    """Refuse to add to a run that has ended.

    Raises:
        RunClosedError: The run has finished, failed or been aborted.
    """
    if status != STARTED:
        raise RunClosedError(uid, status)
