"""MLflow: a small study that records itself there, to be imported with `prov import mlflow sqlite:///mlflow.db`."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import LoggedModelOutput

mlflow.set_tracking_uri("sqlite:///mlflow.db")
experiment = mlflow.set_experiment("slopes")
client = mlflow.MlflowClient()
table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.1, 3.9, 6.2]})

for power in (1, 2):
    with mlflow.start_run(run_name=f"power {power}", tags={"team": "methods"}) as run:
        mlflow.log_param("power", power)
        mlflow.log_input(mlflow.data.from_pandas(table, source="points.csv", name="points"), context="training")
        slope = float((table.y / table.x**power).mean())
        error = float(((table.y - slope * table.x**power) ** 2).mean())
        mlflow.log_metric("error", error)
        mlflow.log_dict({"slope": slope}, "fit/slope.json")
        model = client.create_logged_model(experiment.experiment_id, name="slope", source_run_id=run.info.run_id)
        Path("MLmodel").write_text(f"slope: {slope}\npower: {power}\n")
        client.log_model_artifact(model.model_id, "MLmodel")
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
        with mlflow.start_run(run_name="check", nested=True):
            mlflow.log_metric("largest", error * 2)
