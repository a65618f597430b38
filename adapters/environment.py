"""Which software a run uses, and on which machine and account: read from this process, without starting another."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from lineagelog.domain import clock
from lineagelog.domain.event import Context
from lineagelog.domain.run import EnvironmentRecorded
from lineagelog.domain.version import VERSION

TEST_HOST: Final = "test-host"
TEST_USER: Final = "tester"
TEST_CLOCK: Final = "(test clock)"
"""What events say of machine, account and software that are made under the clock of a test."""

_DIST_INFO: Final = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?)-(?P<version>[^-]+)\.dist-info")
_MAX_HEADERS: Final = 8_192
"""Name and version stand among the first lines; a description, which may be long, follows."""

_SEPARATORS: Final = re.compile(r"[-_.]+")
# Docker, Podman, containerd and Kubernetes all name containers by 64 hexadecimal characters.
_CONTAINER: Final = re.compile(r"(?:docker|libpod|containerd|kubepods|containers)[^\s]*?\b([0-9a-f]{64})\b")


def capture() -> EnvironmentRecorded:
    """Describe the software environment of this process.

    Returns:
        The environment; its hash is over all else it says, so that equal environments are one record.
    """
    python = "{}.{}.{}".format(*sys.version_info[:3])
    implementation = sys.implementation.name
    system = platform_text()
    content = {
        "python": python,
        "implementation": implementation,
        "platform": system,
        "packages": installed(),
        "hardware": hardware(),
        "conda": conda_environment(),
        "conda_packages": conda_packages(),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return msgspec.convert({"hash": hashlib.sha256(text.encode()).hexdigest(), **content}, EnvironmentRecorded)


def context(auth: str = "declared", session: str | None = None) -> Context:
    """Say where the events of this process come from.

    Args:
        auth: How the actor was authenticated.
        session: Id of the process session.
    """
    if clock.current_clock().is_stepped:
        # Neither machine nor account: a test gives the same log wherever it runs.
        return Context(
            auth=auth, session=session, host=TEST_HOST, os_user=TEST_USER, software=f"lineagelog/{VERSION} {TEST_CLOCK}"
        )
    return Context(
        auth=auth, session=session, host=os.uname().nodename, os_user=os_user(), software=f"lineagelog/{VERSION}"
    )


def os_user() -> str | None:
    """Return the name of the account this process runs under, or its number where it has no name."""
    import pwd

    # The variables USER and LOGNAME are whatever somebody sets them to.
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def platform_text() -> str:
    """Name operating system, release and machine.

    `platform.platform()` says little more, and starts by looking for the C library inside the interpreter's binary.
    """
    system = os.uname()
    return f"{system.sysname}-{system.release}-{system.machine}"


def hardware() -> dict[str, str | int]:
    """Say what the machine has: `cpu` (its model), `n_cpus`, `memory_bytes`; what it does not tell is left out."""
    found: dict[str, str | int] = {}
    model = _cpu_model()
    if model:
        found["cpu"] = model
    n_cpus = os.cpu_count()
    if n_cpus is not None:
        found["n_cpus"] = n_cpus
    with suppress(ValueError, OSError):
        found["memory_bytes"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return found


def conda_environment() -> str | None:
    """Return the name of the conda environment that this Python belongs to; `None` outside of one."""
    if not (Path(sys.prefix) / "conda-meta").is_dir():
        return None
    name = os.environ.get("CONDA_DEFAULT_ENV")
    # The variable may speak of another environment than the one whose Python runs.
    return name if name and os.environ.get("CONDA_PREFIX") == sys.prefix else Path(sys.prefix).name


def conda_packages() -> dict[str, str]:
    """List what conda has installed into the environment of this Python, name to version, by the names of its records."""
    packages = {}
    for entry in sorted((Path(sys.prefix) / "conda-meta").glob("*.json")):
        # name-version-build.json; a name may hold hyphens, the others never do.
        parts = entry.stem.rsplit("-", 2)
        if len(parts) == 3:
            packages[_clean(parts[0])] = _clean(parts[1])
    return packages


@cache
def container_id() -> str | None:
    """Return the id of the container that this process runs in, as the kernel's list of mounts or control groups holds it."""
    for source in ("/proc/self/cgroup", "/proc/self/mountinfo"):
        with suppress(OSError):
            for line in Path(source).read_text(errors="replace").splitlines():
                match = _CONTAINER.search(line)
                if match is not None:
                    return match[1]
    return None


def _cpu_model() -> str | None:
    with suppress(OSError), Path("/proc/cpuinfo").open(errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Hardware", "cpu model"):
                return value.strip()
        return None
    # On macOS the kernel tells it by a call that only a program wraps.
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, timeout=5, check=True
        )
        return done.stdout.strip() or None
    return None


def installed() -> dict[str, str]:
    """List the installed distributions, name to version, sorted; of several with one name the first on the path is in use.

    The names of the `*.dist-info` folders tell both, so that no file is opened for most distributions.
    """
    packages: dict[str, str] = {}
    # Whatever else stands on the path, the import system passes it over.
    for entry in dict.fromkeys(entry for entry in sys.path if isinstance(entry, str)):
        for name, version in _found_in(entry or "."):
            packages.setdefault(_clean(name), _clean(version))
    return dict(sorted(packages.items()))


def _clean(text: str) -> str:
    """Make the name of a file or a line of metadata recordable, which may be any bytes."""
    return text.encode(errors="replace").decode().replace("\x00", "�")


def _found_in(entry: str) -> list[tuple[str, str]]:
    try:
        names = os.listdir(entry)  # noqa: PTH208 - a Path per name is half the cost of the whole listing
    except NotADirectoryError:
        # Zip archives on the path hold distributions as well; only the standard library can read them.
        return _read_by_metadata(entry) if entry.endswith((".egg", ".whl", ".pyz")) else []
    except OSError:
        return []
    found = []
    for name in sorted(names):
        if not name.endswith((".dist-info", ".egg-info", ".egg")):
            continue
        match = _DIST_INFO.fullmatch(name)
        if match is not None:
            found.append((normal_name(match["name"]), match["version"]))
        else:
            found += _read_one(Path(entry) / name)
    return found


def _read_one(path: Path) -> list[tuple[str, str]]:
    """Read the metadata of a distribution whose folder name does not tell its version."""
    if path.suffix == ".egg":
        return _read_by_metadata(str(path))
    text = ""
    for place in (path, path / "PKG-INFO", path / "METADATA"):
        with suppress(OSError), place.open(errors="replace") as file:
            text = file.read(_MAX_HEADERS)
            break
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line:
            # The headers end at the first empty line; what follows is the description.
            break
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    if "name" in fields and "version" in fields:
        return [(normal_name(fields["name"]), fields["version"])]
    return []


def _read_by_metadata(entry: str) -> list[tuple[str, str]]:
    # It brings the email package along, which costs more than all the rest here.
    from importlib import metadata

    found = []
    for distribution in metadata.distributions(path=[entry]):
        # What is broken tells so by whatever error its bytes lead to; a run is not lost for it.
        with suppress(Exception):
            name: str | None = distribution.metadata["Name"]
            if name:
                found.append((normal_name(name), distribution.version))
    return found


def normal_name(name: str) -> str:
    """Write a name in the form the index compares.

    References:
        PEP 503, Normalized Names, https://peps.python.org/pep-0503/#normalized-names
    """
    return _SEPARATORS.sub("-", name).lower()
