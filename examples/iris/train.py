"""Tell the species of an iris from its petals."""

# %% A notebook in the form of a script: each part is a cell in editors that know `# %%`.
import json
from pathlib import Path

import joblib
import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

import lineagelog as ln

FOLDS, SEED = 10, 20261121

ln.login("mei", name="Mei Tanaka")
ln.track(params={"folds": FOLDS, "seed": SEED})

# %% The clean table; loading it makes it an input of this run.
flowers = ln.Artifact.get(key="iris/clean.parquet").load()
petals = flowers[["petal_length_cm", "petal_width_cm"]].to_numpy()
species = flowers["species"].to_numpy()

# %% Train
model = LogisticRegression(max_iter=1000, random_state=SEED)
folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
accuracy = float(cross_val_score(model, petals, species, cv=folds).mean())
model.fit(petals, species)
print(f"{accuracy:.1%} accuracy in {FOLDS}-fold cross-validation on {len(flowers)} flowers")

joblib.dump(model, "model.joblib")
ln.Artifact("model.joblib", key="iris/model.joblib", kind="model", description="Logistic regression on petals").save()

# %% Metrics
Path("metrics.json").write_text(json.dumps({"accuracy": accuracy, "n_flowers": len(flowers)}))
ln.Artifact("metrics.json", key="iris/metrics.json", kind="report", description="How well the model does").save()

# %% Figure
x, y = np.meshgrid(np.linspace(0.5, 7.5, 400), np.linspace(0, 2.8, 300))
areas = np.searchsorted(model.classes_, model.predict(np.column_stack([x.ravel(), y.ravel()]))).reshape(x.shape)
figure = Figure(figsize=(6, 4), layout="constrained")
axes = figure.subplots()
axes.contourf(x, y, areas, levels=[-0.5, 0.5, 1.5, 2.5], colors=["#cfe3f7", "#fde3c4", "#d5efdb"])
for name, color in zip(model.classes_, ["#2b6cb0", "#c05621", "#2f855a"], strict=True):
    axes.scatter(*petals[species == name].T, s=18, color=color, edgecolor="white", linewidth=0.5, label=name)
axes.set(xlabel="petal length (cm)", ylabel="petal width (cm)", title=f"Iris species by petals, {len(flowers)} flowers")
axes.legend(title="species", loc="upper left")
figure.savefig("figure.png", dpi=120)
ln.Artifact("figure.png", key="iris/figure.png", kind="plot", description="Species by petals, with the model").save()

# %%
ln.finish()
