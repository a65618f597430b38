"""Run a small research project end to end, then ask the store what happened.

Every step is a process of its own, as it would be in real life: scripts that people run, and the `prov` command. Everything
is written under one folder, `demo-output/` by default, and nothing outside it is touched.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import lineagelog as ln

EXAMPLES = Path(__file__).resolve().parent
MARKER = "made-by-the-demo.txt"
WIDTH = 110
FIGURE = "iris/figure.png"
RAW = "iris/studies/study0.csv"
BEFORE, AFTER = "MAX_DEVIATION = 3.0", "MAX_DEVIATION = 2.5"
PROBLEMS_FOUND = 7
"""Exit code of `prov verify` when something is wrong."""
QUESTIONS = ("people", "code", "raw_data")


class DemoError(Exception):
    """A step did not do what it should."""


class Origin(NamedTuple):
    """Where an artifact comes from."""

    run: ln.Run
    code: ln.Transform
    user: ln.User


class Folders(NamedTuple):
    """Where the demo puts things.

    Attributes:
        output: Everything.
        scripts: The scripts, as the people of the project edit them.
        work: Where the scripts run.
        store: The store.
        results: Pictures and exports.
        copy: A copy of the store that is tampered with.
    """

    output: Path
    scripts: Path
    work: Path
    store: Path
    results: Path
    copy: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 0 if every step did what it should."""
    parser = argparse.ArgumentParser(
        description="Track a small research project end to end and ask the store about it."
    )
    parser.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR", help="folder to write to")
    started = time.monotonic()
    try:
        folders = prepare(parser.parse_args(arguments).output)
        do_research(folders)
        with ln.open(folders.store) as store:
            figure, raw = store.Artifact.get(key=FIGURE), store.Artifact.get(key=RAW)
            tell_who_made(figure)
            tell_what_changed(figure)
        draw(folders, figure.uid, raw.uid)
        export(folders, figure.uid)
        ask(folders)
        verify(folders)
        tamper(folders)
    except (DemoError, ln.errors.LineageLogError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    conclude(folders, time.monotonic() - started)
    return 0


def prepare(output: Path) -> Folders:
    """Make the folders anew, and an environment in which nothing of the user's own is read or written."""
    marker = output / MARKER
    if output.exists() and not marker.is_file() and (not output.is_dir() or any(output.iterdir())):
        raise DemoError(
            f"{output} was not made by the demo, so it stays as it is; name another folder with --output DIR"
        )
    if output.exists():
        shutil.rmtree(output)
    root = output.resolve()
    folders = Folders(
        root, root / "scripts", root / "work", root / "store", root / "results", root / "copy-that-was-tampered-with"
    )
    for folder in (folders.output, folders.scripts, folders.work, folders.results):
        folder.mkdir(parents=True)
    (root / MARKER).write_text("The demo of lineagelog made this folder, and removes it when it runs again.\n")
    for script in (EXAMPLES / "iris").glob("*.py"):
        shutil.copy(script, folders.scripts)
    for name in [name for name in os.environ if name.startswith("LINEAGELOG_")]:
        del os.environ[name]
    os.environ.update(
        XDG_CONFIG_HOME=str(root / ".config"),
        XDG_CACHE_HOME=str(root / ".cache"),
        MPLCONFIGDIR=str(root / ".cache" / "matplotlib"),
        LINEAGELOG_STORE=str(folders.store),
        COLUMNS=str(WIDTH),
        NO_COLOR="1",
    )
    print("A small research project on iris flowers, tracked end to end with lineagelog.")
    print(f"Everything is written to {shown(root)}/.")
    return folders


def do_research(folders: Folders) -> None:
    """Let three people work: upload, clean, train; then clean and train again with a stricter rule."""
    heading("1. Three people do research, each with an ordinary script")
    prov(folders, "init", "--storage", str(folders.store), "--name", "iris-study")
    run(folders, "upload.py", "Amara uploads three studies from the instrument")
    run(folders, "clean.py", "Jonas joins and cleans them")
    run(folders, "train.py", "Mei trains a model and draws a figure")
    script = folders.scripts / "clean.py"
    text = script.read_text()
    if text.count(BEFORE) != 1:
        raise DemoError(f"{script} should hold the line {BEFORE!r} once")
    script.write_text(text.replace(BEFORE, AFTER))
    say(f"Jonas edits clean.py: {BEFORE!r} becomes {AFTER!r}.")
    run(folders, "clean.py", "Jonas cleans again")
    run(folders, "train.py", "Mei trains again, her script unchanged")


def tell_who_made(figure: ln.Artifact) -> None:
    """Say which run, code version, inputs and user made the figure, and what it was made from."""
    heading("2. Who made the figure? The store answers, no script is asked")
    origin = tell_origin(figure)
    for source in origin.run.inputs:
        say("")
        say(f"And {source.key}, in turn:")
        tell_origin(source)
    figure.cache()
    say("")
    say("The figure's bytes are the recorded ones: their SHA-256 was computed again and agrees.")


def tell_origin(artifact: ln.Artifact) -> Origin:
    """Print one artifact with its run, code, user and inputs."""
    origin = origin_of(artifact)
    run, code, user = origin
    params = ", ".join(f"{name} = {value}" for name, value in run.params.items())
    facts = [
        ("artifact", f"{name_of(artifact)} of {artifact.versions.count()}"),
        ("made", f"{artifact.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("run", f"{run.uid}, {run.status}" + (f", on Python {run.environment['python']}" if run.environment else "")),
        ("parameters", params or "none"),
        ("code", f"{name_of(code)} of {code.versions.count()}, SHA-256 {str(code.hash)[:16]}…"),
        ("user", f"{user.name} ({user.handle})"),
    ]
    sources = [f"{name_of(source)}, {size_of(source)}" for source in run.inputs]
    facts += [("inputs" if number == 0 else "", text) for number, text in enumerate(sources)]
    for name, value in facts:
        say(f"    {name:<12}{value}")
    return origin


def tell_what_changed(figure: ln.Artifact) -> None:
    """Compare the code behind the two versions of the figure, from the sources in the store."""
    table = origin_of(figure).run.inputs.one()
    new = origin_of(table).code
    old = origin_of(table.versions.get(version_number=0)).code
    before, after = (str(code.source_code).splitlines() for code in (old, new))
    lines = difflib.unified_diff(before, after, lineterm="", n=0)
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    if changed != [f"-{BEFORE}", f"+{AFTER}"]:
        raise DemoError(f"the store should hold both versions of {new.key}, but they differ in {changed}")
    say("")
    say(f"Why is there a second version? The store has both sources of {new.key}; they differ in:")
    show("\n".join(changed))


def origin_of(artifact: ln.Artifact) -> Origin:
    """Ask the store where an artifact comes from.

    Raises:
        DemoError: The store does not know.
    """
    run, code = artifact.run, artifact.transform
    user = run.created_by if run is not None else None
    if run is None or code is None or user is None:
        raise DemoError(f"the store should know run, code and user behind {artifact.key}")
    return Origin(run, code, user)


def draw(folders: Folders, figure: str, raw: str) -> None:
    """Draw what the figure was made from, and what became of a raw file."""
    heading("3. Pictures: what the figure was made from, and what became of a raw file")
    for suffix in (".svg", ".png"):
        prov(folders, "lineage", figure, "--direction", "upstream", "-o", str(folders.results / f"lineage{suffix}"))
    prov(folders, "lineage", raw, "--direction", "downstream", "-o", str(folders.results / "downstream.svg"))


def export(folders: Folders, uid: str) -> None:
    """Export the provenance of the figure as W3C PROV."""
    heading("4. An auditor takes the same away as W3C PROV")
    prov(folders, "login", "noor", "--name", "Noor Haddad")
    for format_name, suffix in (("prov-json", ".json"), ("prov-n", ".provn"), ("trig", ".trig")):
        path = folders.results / f"figure{suffix}"
        prov(folders, "export", "--format", format_name, "--subject", uid, "-o", str(path))


def ask(folders: Folders) -> None:
    """Ask the TriG export three questions in SPARQL."""
    heading("5. Three questions to the export, in SPARQL")
    for number, name in enumerate(QUESTIONS):
        question = EXAMPLES / "questions" / f"{name}.rq"
        if number:
            say("")
        say(question.read_text().splitlines()[0].removeprefix("# "))
        show(prov(folders, "query", "--file", str(question), "--on", str(folders.results / "figure.trig")))


def verify(folders: Folders) -> None:
    """Seal a checkpoint, and check the store against it."""
    heading("6. Was anything altered?")
    checkpoint = str(folders.results / "checkpoint.txt")
    prov(folders, "checkpoint", "-o", checkpoint)
    show(prov(folders, "verify", "--checkpoint", checkpoint))


def tamper(folders: Folders) -> None:
    """Rewrite one event in a copy of the store, past all protection, and let `prov verify` find it."""
    heading("7. Somebody rewrites history in a copy of the store")
    shutil.copytree(folders.store, folders.copy)
    with closing(sqlite3.connect(folders.copy / ".lineagelog" / "store.db")) as database, database:
        position, payload = database.execute(
            "SELECT position, payload FROM events WHERE topic = 'run.started.1' AND payload LIKE '%max_deviation%' "
            "ORDER BY position DESC LIMIT 1"
        ).fetchone()
        database.execute("DROP TRIGGER events_refuse_update")
        changed = payload.replace('"max_deviation":2.5', '"max_deviation":3.0')
        if changed == payload:
            raise DemoError(f"event {position} should hold the parameter of the second cleaning")
        database.execute("UPDATE events SET payload = ? WHERE position = ?", (changed, position))
    say(f"With sqlite3 alone: event {position} now claims that Jonas cleaned with 3.0 both times.")
    report = prov(folders, "verify", "--store", str(folders.copy), exit_code=PROBLEMS_FOUND)
    show(report)
    if f"event {position} " not in report:
        raise DemoError(f"prov verify should name event {position}")


def conclude(folders: Folders, seconds: float) -> None:
    """Say what was found, and where the files are."""
    heading("What was found")
    with ln.open(folders.store) as store:
        figure = store.Artifact.get(key=FIGURE)
        run, code, user = origin_of(figure)
        text = (
            f"{user.name} made {name_of(figure)}, with {code.key} from {name_of(run.inputs.one())}. On record are "
            f"{store.Transform.get(key='clean.py').versions.count()} versions of clean.py and "
            f"{figure.versions.count()} of the figure, and which belong together. The log of {store.log.head().position} "
            "events passed its check, and the one event that was rewritten in a copy was found."
        )
    print(textwrap.fill(text, WIDTH))
    print()
    for path, what in (
        (folders.results / "lineage.svg", "what the figure was made from (lineage.png is the same)"),
        (folders.results / "downstream.svg", "what became of a raw file: two versions of everything"),
        (folders.results / "figure.trig", "its provenance; figure.json is PROV-JSON, figure.provn PROV-N"),
        (folders.results / "checkpoint.txt", "end of the log, to be kept elsewhere"),
        (folders.work / "figure.png", "the figure itself"),
        (folders.store, "the store"),
    ):
        print(f"  {shown(path):<42}{what}")
    print()
    prov_command = shown(Path(sys.executable).with_name("prov"))
    print(f"Look around: {prov_command} --store {shown(folders.store)} log")
    print(f"All of this took {seconds:.0f} seconds.")


def run(folders: Folders, script: str, what: str) -> None:
    """Run one of the scripts, and show what it printed."""
    answer = execute(folders, [sys.executable, str(folders.scripts / script)], f"python {script}", comment=what)
    show(answer)


def prov(folders: Folders, *arguments: str, exit_code: int = 0) -> str:
    """Run the `prov` command, and return what it printed."""
    words = shlex.join(shown(Path(word)) if Path(word).is_absolute() else word for word in arguments)
    command = [str(Path(sys.executable).with_name("prov")), *arguments]
    return execute(folders, command, f"prov {words}", exit_code=exit_code)


def execute(folders: Folders, command: list[str], typed: str, *, comment: str = "", exit_code: int = 0) -> str:
    """Run a process, show what a person would have typed, and return what it printed.

    Raises:
        DemoError: It ended with another exit code than it should.
    """
    done = subprocess.run(command, cwd=folders.work, capture_output=True, text=True, check=False)
    say(f"$ {typed:<18}{'# ' if comment else ''}{comment}".rstrip())
    if done.returncode != exit_code:
        raise DemoError(f"`{typed}` ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def heading(text: str) -> None:
    """Begin a part."""
    print(f"\n{text}\n{'─' * len(text)}", flush=True)


def say(text: str) -> None:
    """Print a line."""
    print(text, flush=True)


def show(text: str) -> None:
    """Print the output of a command, set in."""
    for line in text.rstrip().splitlines():
        say(f"    {line}".rstrip())


def shown(path: Path) -> str:
    """Write a path as a person would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def name_of(record: ln.Artifact | ln.Transform) -> str:
    """Name a version; people count from 1."""
    return f"{record.key}, version {record.version_number + 1}"


def size_of(artifact: ln.Artifact) -> str:
    """Tell the size of an artifact in the unit that fits."""
    if artifact.n_observations is not None:
        return f"{artifact.n_observations} rows"
    return f"{artifact.n_files} files" if artifact.n_files is not None else f"{artifact.size} bytes"


if __name__ == "__main__":
    sys.exit(main())
