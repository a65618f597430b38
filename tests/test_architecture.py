"""The rules of the layers, checked on the source of every file, imports inside functions included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = {
    "domain": {"domain"},
    "projections": {"projections", "domain"},
    "adapters": {"adapters", "projections", "domain"},
    "exporters": {"exporters", "projections", "domain"},
    "lineagelog": {"lineagelog", "adapters", "exporters", "projections", "domain"},
}
"""Which layers the files of each layer may import: inward only, and `adapters` and `exporters` do not know each other."""

HOMES = {
    "anndata": {"adapters/formats"},
    "boto3": {"adapters/storage"},
    "botocore": {"adapters/storage"},
    "cryptography": {"adapters"},
    "eventsourcing": {"adapters/log"},
    "fsspec": {"adapters/storage"},
    "h5py": {"adapters/formats"},
    "mlflow": {"lineagelog/workflows"},
    "mudata": {"adapters/formats"},
    "google": {"adapters"},
    "nbconvert": {"adapters"},
    "nbformat": {"adapters"},
    "networkx": {"projections"},
    "pandas": {"adapters", "projections", "lineagelog"},
    "prov": {"exporters"},
    "polars": {"adapters/formats"},
    "psycopg": {"adapters/log"},
    "pyarrow": {"adapters", "exporters", "projections", "lineagelog"},
    "pygraphviz": {"exporters"},
    "pyoxigraph": {"exporters"},
    "rdflib": {"exporters"},
    "rich": {"lineagelog"},
    "s3fs": {"adapters/storage"},
    "snakemake": {"lineagelog/workflows"},
    "sqlalchemy": {"projections"},
    "sqlite3": {"adapters/log"},
    "tqdm": {"lineagelog", "adapters"},
    "typer": {"lineagelog/cli"},
    "upath": {"adapters/storage", "lineagelog"},
    "yaml": {"adapters/formats"},
    "zarr": {"adapters/formats"},
}
"""Where each library may be imported, so that it can be exchanged there; type checkers may see it anywhere."""

DOMAIN_LIBRARIES = {"msgspec"}
SCRIPTS = {"exporters/sparql/worker.py"}
"""Files that run as processes of their own and are imported by none."""

LAZY = {
    "IPython", "PIL", "anndata", "boto3", "botocore", "cryptography", "fsspec", "google", "h5py", "matplotlib",
    "mlflow", "mudata", "nbconvert", "nbformat", "networkx", "numpy", "pandas", "polars", "prov", "psycopg",
    "pyarrow", "pygraphviz", "pyoxigraph", "rdflib", "s3fs", "snakemake", "sqlalchemy", "upath", "yaml", "zarr",
}  # fmt: skip
"""Libraries that are imported in the function that needs them, never when a module of ours is."""


def sources() -> Iterator[tuple[str, Path]]:
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            inner = path.relative_to(ROOT / layer)
            if layer != "lineagelog" or inner.parts[0] not in LAYERS:
                yield layer, path


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Every imported module; of `from package import name` both, since the name may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node, node.module or ""
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"


def layer_of(module: str) -> str | None:
    """The layer that a dotted name belongs to, `None` for names outside the project."""
    first, _, rest = module.partition(".")
    if first != "lineagelog":
        return None
    inner = rest.partition(".")[0]
    return inner if inner in LAYERS else "lineagelog"


def for_type_checkers(tree: ast.AST) -> set[ast.stmt]:
    """Statements that only type checkers see."""
    return {
        statement
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
    }


def where(path: Path, node: ast.stmt) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


FILES = list(sources())
PARSED = {path: ast.parse(path.read_text(), str(path)) for _, path in FILES}


def test_every_layer_has_files() -> None:
    assert {layer for layer, _ in FILES} == LAYERS.keys()


def test_imports_point_inward() -> None:
    stray = []
    for layer, path in FILES:
        for node, module in imports(PARSED[path]):
            found = layer_of(module)
            # `from lineagelog import domain` names the package itself only to reach the layer.
            reaches_layer = (
                isinstance(node, ast.ImportFrom)
                and module == "lineagelog"
                and all(alias.name in LAYERS for alias in node.names)
            )
            if found is not None and found not in LAYERS[layer] and not reaches_layer:
                stray.append(f"{where(path, node)} ({layer}) imports {module}")
    assert not stray, "\n".join(stray)


def test_layers_are_imported_by_their_installed_name() -> None:
    stray = [
        f"{where(path, node)} imports {module}"
        for _, path in FILES
        for node, module in imports(PARSED[path])
        if module.partition(".")[0] in LAYERS.keys() - {"lineagelog"}
    ]
    assert not stray, "\n".join(stray)


def test_every_library_has_one_home() -> None:
    stray = []
    for _, path in FILES:
        place = path.relative_to(ROOT).as_posix()
        unseen = for_type_checkers(PARSED[path])
        for node, module in imports(PARSED[path]):
            if node in unseen:
                continue
            homes = HOMES.get(module.partition(".")[0])
            if homes is not None and not any(place == home or place.startswith(f"{home}/") for home in homes):
                stray.append(f"{where(path, node)} imports {module}, whose home is {', '.join(sorted(homes))}")
    assert not stray, "\n".join(sorted(set(stray)))


def test_the_domain_lives_on_the_standard_library() -> None:
    allowed = sys.stdlib_module_names | DOMAIN_LIBRARIES | {"lineagelog"}
    stray = [
        f"{where(path, node)} imports {module}"
        for layer, path in FILES
        if layer == "domain"
        for node, module in imports(PARSED[path])
        if module.partition(".")[0] not in allowed
    ]
    assert not stray, "\n".join(stray)


def test_the_domain_touches_nothing_outside() -> None:
    outside = {"pathlib", "socket", "subprocess", "sqlite3", "urllib", "http", "shutil", "tempfile", "logging"}
    stray = [
        f"{where(path, node)} imports {module}"
        for layer, path in FILES
        if layer == "domain"
        for node, module in imports(PARSED[path])
        if module.partition(".")[0] in outside
    ]
    assert not stray, "\n".join(stray)


def imported_at_once(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Import statements that run when the module is imported: not those in functions or for type checkers only."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from imported_at_once(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            yield from imported_at_once(node.body + node.orelse + node.finalbody)
            for handler in node.handlers:
                yield from imported_at_once(handler.body)
        elif isinstance(node, ast.With | ast.ClassDef):
            yield from imported_at_once(node.body)


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    stray = [
        f"{where(path, node)} imports {module} at the top"
        for _, path in FILES
        if path.relative_to(ROOT).as_posix() not in SCRIPTS
        for statement in imported_at_once(PARSED[path].body)
        for node, module in imports(statement)
        if module.partition(".")[0] in LAZY
    ]
    assert not stray, "\n".join(sorted(set(stray)))


def test_the_verifier_of_proofs_stands_alone() -> None:
    path = ROOT / "lineagelog" / "verify_proof.py"
    assert {module.partition(".")[0] for _, module in imports(PARSED[path])} <= sys.stdlib_module_names
    using = [
        str(other) for other, tree in PARSED.items() if "lineagelog.verify_proof" in dict(map(reversed, imports(tree)))
    ]
    assert not using, "the package proves by its own code, so that the two can be held against each other"


def test_scripts_are_imported_by_no_module() -> None:
    names = {f"lineagelog.{script.removesuffix('.py').replace('/', '.')}" for script in SCRIPTS}
    stray = [where(path, node) for _, path in FILES for node, module in imports(PARSED[path]) if module in names]
    assert not stray, "\n".join(stray)


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = "import sys, lineagelog; print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "lineagelog" in loaded
    assert not LAZY & set(loaded)


def test_importing_the_package_opens_no_store(tmp_path: Path) -> None:
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda name, args: opened.append(args[0]) if name == 'open' and 'w' in str(args[1]) or "
        "name.startswith(('sqlite3.connect', 'socket.connect', 'subprocess')) else None)\n"
        "import lineagelog; print(opened)"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", LAYERS)
def test_every_package_and_module_says_what_it_holds(layer: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for found, path in FILES
        if found == layer and PARSED[path].body and not ast.get_docstring(PARSED[path])
    ]
    assert not silent, f"no docstring: {silent}"


def test_the_links_inside_the_package_reach_the_layers() -> None:
    for layer in LAYERS.keys() - {"lineagelog"}:
        link = ROOT / "lineagelog" / layer
        assert link.is_symlink()
        assert link.readlink() == Path("..") / layer
