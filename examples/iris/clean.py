"""Clean the iris studies and join them to one table."""

import pandas as pd

import lineagelog as ln

# A flower further from the mean of its species than this, in any measure, was mistyped or misread.
MAX_DEVIATION = 3.0

ln.login("jonas", name="Jonas Lind")
ln.track(params={"max_deviation": MAX_DEVIATION})

# Whatever is loaded is an input of this run from here on.
studies = ln.Artifact.filter(key__startswith="iris/studies/", suffix=".csv", is_latest=True)
flowers = pd.concat([study.load().assign(study=study.key.split("/")[-1]) for study in studies])
meta = pd.read_csv(ln.Artifact.get(key="iris/studies").cache() / "meta.csv")
assert len(flowers) == meta["flowers"].sum(), "a study is not complete"

measures = [name for name in flowers.columns if name.endswith("_cm")]
of_species = flowers.groupby("species")[measures]
deviation = (flowers[measures] - of_species.transform("mean")) / of_species.transform("std")
clean = flowers[(deviation.abs() <= MAX_DEVIATION).all(axis=1)].sort_values("flower", ignore_index=True)
print(f"{len(clean)} of {len(flowers)} flowers are kept")

ln.Artifact.from_dataframe(clean, key="iris/clean.parquet", description="Flowers without outliers").save()

ln.finish()
