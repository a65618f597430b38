"""Upload three studies of iris flowers from the instrument."""

from pathlib import Path

from sklearn.datasets import load_iris

import lineagelog as ln

ln.login("amara", name="Amara Osei")
ln.track()

# What the instrument has written: one CSV file for each study, and a table that describes them.
folder = Path("instrument/iris_studies")
folder.mkdir(parents=True)
iris = load_iris(as_frame=True)
flowers = iris.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_") + "_cm")
flowers["species"] = [iris.target_names[number] for number in iris.target]

meta = ["study,collected,flowers\n"]
for study, month in enumerate(("2026-05", "2026-06", "2026-07")):
    part = flowers.iloc[study::3]
    part.to_csv(folder / f"study{study}.csv", index_label="flower")
    meta.append(f"study{study},{month},{len(part)}\n")
(folder / "meta.csv").write_text("".join(meta))

# Each study is an artifact, and so is the whole folder.
studies = [
    ln.Artifact(path, key=f"iris/studies/{path.name}", description="Iris measurements as the instrument wrote them")
    for path in sorted(folder.glob("study*.csv"))
]
ln.save(studies)
ln.Artifact(folder, key="iris/studies", description="All three studies and the table that describes them").save()

ln.finish()
