"""Counts the reads of each sample. Run by Snakemake, which defines `snakemake`."""

from pathlib import Path

folder = Path(snakemake.output[0])  # noqa: F821
folder.mkdir(parents=True)
with Path(snakemake.output.table).open("w") as table:  # noqa: F821
    for path in map(Path, snakemake.input):  # noqa: F821
        n_reads = len(path.read_text().splitlines())
        (folder / path.name).write_text(f"{n_reads}\n")
        table.write(f"{path.stem},{n_reads}\n")
