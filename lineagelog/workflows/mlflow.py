"""Runs of an MLflow tracking store: parameters, metrics, data sets and artifacts, as they stand there.

MLflow itself reads its stores, whatever their format. Its experiments become projects, its runs keep their times and their id.
"""

from __future__ import annotations

import csv
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from lineagelog import current, message
from lineagelog.domain.errors import InvalidValueError, ObjectMissingError, StorageError, StoreUnavailableError
from lineagelog.domain.redaction import redact_url
from lineagelog.domain.run import ABORTED, FAILED, FINISHED, GitState
from lineagelog.workflows.foreign import (
    Ending,
    ForeignFile,
    ForeignRun,
    ForeignTransform,
    Imported,
    import_runs,
    shortened,
)

if TYPE_CHECKING:
    from lineagelog.store import Store

SYSTEM: Final = "mlflow"
"""Reference type of the runs."""

_STATUSES: Final = {"FINISHED": FINISHED, "FAILED": FAILED, "KILLED": ABORTED}
MAX_METRIC_POINTS: Final = 10_000
"""So many points of a metric are recorded; of longer ones some are left out."""

_PAGE: Final = 500
_WHILE_READING: Final = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
"""Environment of MLflow: it refuses folders, which it will write no more, unless it is told that they are meant."""

_OWN: Final = "mlflow."
"""Tags that MLflow sets itself begin with this."""


def import_mlflow(uri: str, *, experiment: str | None = None, store: Store | None = None) -> Imported:
    """Record the runs of an MLflow tracking store; those that are on record already are left as they are.

    Args:
        uri: Address of the tracking store: `sqlite:///mlflow.db`, `./mlruns`, `http://…`.
        experiment: Only runs of the experiment of this name.
        store: Store to record in; the current one by default.

    Returns:
        What was recorded. Runs that have not ended stay open, and are completed by a later import.

    Raises:
        StorageError: MLflow is not installed.
        ObjectMissingError: There is no MLflow store at this address, or no such experiment in it.
        StoreUnavailableError: It cannot be read.
    """
    target = store if store is not None else current.current_store()
    with _client(uri) as client:
        with _reading(uri):
            experiments = [found for found in _experiments(client) if experiment in (None, found.name)]
            runs = {
                run.info.run_id: (found.name, run)
                for found in experiments
                for run in _runs(client, found.experiment_id)
            }
        if experiment is not None and not experiments:
            raise ObjectMissingError(f"there is no experiment {experiment!r} in {redact_url(uri)}; check the name")
        ordered = sorted(runs.values(), key=lambda item: (item[1].info.start_time or 0, item[1].info.run_id))

        def fetch(told: ForeignRun, folder: Path) -> tuple[Sequence[ForeignFile], Sequence[ForeignFile]]:
            name, run = runs[told.reference]
            with _reading(uri):
                outputs = _outputs(client, name, run, folder / "outputs")
                return _inputs(name, run, folder / "inputs"), [*outputs, *_history(client, name, run, folder)]

        return import_runs(target, [_told(name, run) for name, run in ordered], fetch)


@contextmanager
def _client(uri: str) -> Iterator[Any]:
    """Open a tracking store for reading."""
    try:
        import mlflow
    except ImportError as exc:
        raise StorageError(
            "MLflow itself reads its stores, and it is not installed; install it with `pip install 'lineagelog[mlflow]'`"
        ) from exc
    # MLflow makes a store where there is none.
    address = _existing(uri)
    before = {name: os.environ.get(name) for name in _WHILE_READING}
    os.environ.update(_WHILE_READING)
    try:
        with _reading(uri):
            client = mlflow.MlflowClient(tracking_uri=address)
        yield client
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    """Make one clear error of whatever goes wrong in MLflow, and in the libraries by which it reads."""
    try:
        yield
    except ImportError as exc:
        raise StorageError(f"MLflow needs {exc.name} to read {redact_url(uri)}; install it") from exc
    except Exception as exc:
        raise StoreUnavailableError(f"the MLflow store {redact_url(uri)} cannot be read: {_first_line(exc)}") from exc


def _existing(uri: str) -> str:
    """Return the address as MLflow takes it, if there is an MLflow store.

    Raises:
        ObjectMissingError: There is none.
    """
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        path = Path(unquote(parts.path).removeprefix("/"))
        if not _holds_tables(path):
            raise ObjectMissingError(f"there is no MLflow database {path}; check the path in {uri!r}")
    elif parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path) if parts.scheme else uri)
        if folder.is_file() and _holds_tables(folder):
            return f"sqlite:///{folder.resolve()}"
        if not any(folder.glob("*/meta.yaml")):
            raise ObjectMissingError(f"{folder} is no MLflow store: it holds no experiments; check the path")
        return folder.resolve().as_uri()
    return uri


def _holds_tables(path: Path) -> bool:
    """Tell whether a file is a database of MLflow's; MLflow would add its tables to any other."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content[:15] == b"SQLite format 3" and content.find(b"experiment_tags") >= 0
    except (OSError, ValueError):
        return False


def _experiments(client: Any) -> Iterator[Any]:
    yield from _pages(lambda token: client.search_experiments(max_results=_PAGE, page_token=token))


def _runs(client: Any, experiment_id: str) -> Iterator[Any]:
    yield from _pages(lambda token: client.search_runs([experiment_id], max_results=_PAGE, page_token=token))


def _pages(read: Any) -> Iterator[Any]:
    token = None
    while True:
        page = read(token)
        yield from page
        token = page.token
        if not token:
            return


def _told(experiment: str, run: Any) -> ForeignRun:
    info, tags = run.info, run.data.tags
    source = tags.get("mlflow.source.name") or "run"
    is_notebook = tags.get("mlflow.source.type") == "NOTEBOOK"
    own = {"user": info.user_id or tags.get("mlflow.user"), "source": source, "experiment": experiment}
    own["tags"] = {name: value for name, value in tags.items() if not name.startswith(_OWN)}
    ending = None
    if info.status in _STATUSES:
        at = _time(info.end_time if info.end_time is not None else info.start_time)
        ending = Ending(_STATUSES[info.status], at, info.status, f"MLflow says that the run is {info.status}")
    commit = tags.get("mlflow.source.git.commit")
    return ForeignRun(
        reference=info.run_id,
        reference_type=SYSTEM,
        transform=ForeignTransform(
            shortened(f"{experiment}/{Path(source).name}"), "notebook" if is_notebook else "script", reference=source
        ),
        started_at=_time(info.start_time),
        name=shortened(info.run_name).strip() or None if info.run_name else None,
        params={**run.data.params, "mlflow": {name: value for name, value in own.items() if value}},
        metrics=run.data.metrics,
        ending=ending,
        parent=tags.get("mlflow.parentRunId"),
        git=GitState(
            commit=commit,
            dirty=None,  # MLflow does not look.
            remote=redact_url(tags["mlflow.source.git.repoURL"]) if "mlflow.source.git.repoURL" in tags else None,
            branch=tags.get("mlflow.source.git.branch"),
        )
        if commit
        else None,
        project=experiment,
    )


def _inputs(experiment: str, run: Any, folder: Path) -> list[ForeignFile]:
    """Write down what MLflow knows of each data set: its digest, source and schema. It does not keep the data."""
    files = []
    for number, used in enumerate(run.inputs.dataset_inputs if run.inputs is not None else ()):
        dataset = used.dataset
        described = {
            "name": dataset.name,
            "digest": dataset.digest,
            "source_type": dataset.source_type,
            "source": _decoded(dataset.source),
            "schema": _decoded(dataset.schema),
            "profile": _decoded(dataset.profile),
        }
        path = folder / f"{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False))
        files.append(ForeignFile(path, _key(experiment, "datasets", f"{dataset.name}.json"), "dataset"))
    return files


def _outputs(client: Any, experiment: str, run: Any, folder: Path) -> list[ForeignFile]:
    """Fetch the artifacts of a run: a model as the folder it is, all else file by file."""
    from mlflow.artifacts import download_artifacts

    folder.mkdir()
    for entry in client.list_artifacts(run.info.run_id):
        client.download_artifacts(run.info.run_id, entry.path, str(folder))
    # Since version 3, models lie beside the artifacts of the run that made them.
    for made in getattr(getattr(run, "outputs", None), "model_outputs", ()):
        model = client.get_logged_model(made.model_id)
        (folder / "models").mkdir(exist_ok=True)
        fetched = download_artifacts(
            artifact_uri=model.artifact_location, dst_path=str(folder / "models" / made.model_id)
        )
        Path(fetched).rename(folder / "models" / Path(model.name or made.model_id).name)
    models = sorted({path.parent for path in folder.rglob("MLmodel")})
    single = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(model) for model in models)
    ]
    kinds: dict[Path, str | None] = {**dict.fromkeys(models, "model"), **dict.fromkeys(single)}
    return [
        ForeignFile(path, _key(experiment, path.relative_to(folder).as_posix()), kind) for path, kind in kinds.items()
    ]


def _history(client: Any, experiment: str, run: Any, folder: Path) -> list[ForeignFile]:
    """Write down how metrics went that were logged more than once; of long ones points at even distances, and the last."""
    rows = []
    for name in sorted(run.data.metrics):
        points = client.get_metric_history(run.info.run_id, name)
        points.sort(key=lambda point: (point.step, point.timestamp))
        every = -(-len(points) // MAX_METRIC_POINTS) or 1
        kept = [*points[::every], *(points[-1:] if (len(points) - 1) % every else ())]
        if len(points) > 1:
            rows += [(name, each.step, _time(each.timestamp).isoformat(), each.value) for each in kept]
        if every > 1:
            message.warn(f"of the {len(points):,} points of the metric {name!r} one in {every} is recorded")
    if not rows:
        return []
    path = folder / "metric_history.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("metric", "step", "time", "value"), *rows])
    return [ForeignFile(path, _key(experiment, path.name), "dataset")]


def _key(*parts: str) -> str:
    """Make the key of an artifact; names of experiments and data sets are free text."""
    words = [word for part in parts for word in part.replace("\\", "/").split("/") if word not in ("", ".", "..")]
    return "/".join(word.strip() for word in words)


def _decoded(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _time(milliseconds: int | None) -> datetime:
    if milliseconds is None:
        raise InvalidValueError("the MLflow run", "has no start time; it cannot be recorded")
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
