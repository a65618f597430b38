"""MLflow itself writes the store that is imported here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lineagelog.domain.errors import ObjectMissingError, StoreUnavailableError
from lineagelog.store import Store
from lineagelog.workflows.mlflow import import_mlflow

pytest.importorskip("mlflow", reason="MLflow is not installed: `pip install mlflow-skinny sqlalchemy alembic`")
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parents[3]

MORE = """
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("other study")
client = mlflow.MlflowClient()
for step in (2, 0, 1):
    mlflow.log_metric("f1", 0.1 * step, step=step)
from mlflow.entities import Metric
long = [Metric("long", step / 2, 1_770_000_000_000 + step, step) for step in range(1000)]
client.log_batch(mlflow.active_run().info.run_id, long)
mlflow.log_metrics({"loss": float("nan"), "f1": 0.5})
mlflow.set_tags({"mlflow.source.git.commit": "6a1f0c2be7d94835a0f1c96d2e84b7f35c0d1a2e", "token": "hf_" + "a" * 34})
mlflow.log_text("# notes", "MyModel/README.md")
mlflow.end_run("KILLED")
mlflow.start_run(run_name="open")
import os; os._exit(0)
"""


@pytest.fixture(scope="module")
def tracked_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that MLflow made, with the study of the example and another that was killed."""
    folder = tmp_path_factory.mktemp("mlflow")
    shutil.copy(ROOT / "examples" / "workflows" / "mlflow" / "train.py", folder)
    both = f"import runpy; runpy.run_path('train.py')\n{MORE}"
    subprocess.run([sys.executable, "-c", both], cwd=folder, check=True, capture_output=True, text=True, timeout=180)
    return folder


@pytest.fixture
def tracking(tracked_once: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of that store."""
    # MLflow keeps artifacts under addresses relative to where it was started.
    monkeypatch.chdir(tracked_once)
    return "sqlite:///mlflow.db"


def test_runs_are_imported_with_what_mlflow_knows_of_them(store: Store, tracking: str) -> None:
    began = datetime.now(UTC)
    done = import_mlflow(tracking, experiment="slopes", store=store)
    assert (len(done.new), done.known, done.missing_files) == (4, 0, [])

    first, second = (store.Run.get(name=f"power {power}") for power in (1, 2))
    assert (first.status, first.reference_type) == ("finished", "mlflow")
    assert first.params["power"] == "1"
    assert first.params["mlflow"]["tags"] == {"team": "methods"}
    assert first.params["mlflow"]["user"]
    assert first.features.get_values()["error"] == pytest.approx(0.0141, abs=1e-3)
    assert store.Run.filter(error__lt=1).to_list() == [first]
    assert [project.name for project in first.projects] == ["slopes"]
    assert first.transform == second.transform
    assert first.started_at < first.finished_at < began < first.created_at
    assert first.created_by == store.user
    # Both have read the same data set, of which MLflow keeps a description.
    (dataset,) = first.inputs
    assert list(second.inputs) == [dataset]
    assert (dataset.key, dataset.kind) == ("slopes/datasets/points.json", "dataset")
    assert dataset.load()["digest"]
    assert {(artifact.key, artifact.kind) for artifact in second.outputs} == {
        ("slopes/fit/slope.json", None),
        ("slopes/models/slope", "model"),
    }
    assert store.Artifact.get(key="slopes/fit/slope.json", is_latest=True).run == second
    for nested in store.Run.filter(name="check"):
        assert nested.initiated_by_run in (first, second)


def test_a_second_import_adds_what_is_new_and_completes_what_was_open(
    store: Store, tracking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineagelog.workflows.mlflow.MAX_METRIC_POINTS", 400)
    import_mlflow(tracking, experiment="slopes", store=store)
    done = import_mlflow(tracking, store=store)
    assert (len(done.new), done.known) == (2, 4)
    killed = store.Run.get(status="aborted")
    assert (killed.error_type, killed.git_commit) == ("KILLED", "6a1f0c2be7d94835a0f1c96d2e84b7f35c0d1a2e")
    assert killed.git_dirty is None
    assert killed.features.get_values() == {"f1": pytest.approx(0.2), "long": 499.5}
    assert [artifact.key for artifact in killed.outputs] == [
        "other study/MyModel/README.md",
        "other study/metric_history.csv",
    ]
    history = store.Artifact.get(key="other study/metric_history.csv").load()
    assert list(history[history["metric"] == "f1"]["step"]) == [0, 0, 1, 2]
    long = history[history["metric"] == "long"]
    assert len(long) <= 401
    assert list(long["step"])[:2] == [0, 3]
    assert (long["step"].max(), long["value"].max()) == (999, 499.5)
    assert "hf_aaa" not in str(killed.params)
    running = store.Run.get(name="open")
    assert running.status == "started"
    assert not running.is_lost

    head = store.log.head()
    assert import_mlflow(tracking, store=store).known == 6
    assert store.log.head() == head


def test_an_address_without_mlflow_is_refused_and_stays_as_it_is(sqlite_store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"SQLite format 3\0" + bytes(100))
    for address in ("./nothing", "sqlite:///nothing.db", f"sqlite:///{other}", str(tmp_path)):
        with pytest.raises(ObjectMissingError, match="MLflow"):
            import_mlflow(address)
    assert not Path("nothing.db").exists()
    assert len(other.read_bytes()) == 116


def test_an_unknown_experiment_is_refused(sqlite_store: Store, tracking: str) -> None:
    with pytest.raises(ObjectMissingError, match="no experiment 'slop'"):
        import_mlflow(tracking, experiment="slop", store=sqlite_store)


def test_a_damaged_store_is_one_clear_error(sqlite_store: Store, tracking: str, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    content = Path("mlflow.db").read_bytes()
    damaged.write_bytes(content[: content.index(b"experiment_tags") + 20])
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        import_mlflow(f"sqlite:///{damaged}", store=sqlite_store)
