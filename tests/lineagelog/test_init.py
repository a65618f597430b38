from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import lineagelog as ln
from lineagelog.registries.finding import REGISTRIES
from lineagelog.registries.linking import Labels, LinkedSet
from lineagelog.registries.measuring import FeatureValues
from lineagelog.registries.queryset import QuerySet
from lineagelog.registries.record import registry_class

HEAVY = (
    "pandas", "numpy", "pyarrow", "sqlalchemy", "fsspec", "rdflib", "prov", "networkx", "pygraphviz", "psycopg", "rich", "typer",
    "eventsourcing", "msgspec", "sqlite3", "pytest",
)  # fmt: skip


@pytest.mark.parametrize("name", [name for name in ln.__all__ if name != "__version__"])
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    value = getattr(ln, name)
    assert value is not None
    documentation = type(value).__doc__ if name == "settings" else value.__doc__
    assert (documentation or "").strip(), f"ln.{name} has no docstring"


def test_no_module_hides_a_public_name() -> None:
    # Importing a module makes it an attribute of its package, so `ln.settings` would be a module called settings.
    modules = {module.name for module in pkgutil.iter_modules(ln.__path__)}
    assert modules & set(ln.__all__) == {"setup"}


def test_public_names_are_listed_once_and_an_unknown_one_is_an_attribute_error() -> None:
    assert len(set(ln.__all__)) == len(ln.__all__)
    assert dir(ln) == sorted(ln.__all__)
    with pytest.raises(AttributeError, match="Artefact"):
        _ = ln.Artefact


def _modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy() -> None:
    loaded = _modules_after("import lineagelog")
    assert not loaded & set(HEAVY)
    assert {name for name in loaded if name.startswith("lineagelog")} <= {
        "lineagelog",
        "lineagelog.domain",
        "lineagelog.domain.version",
    }


def test_public_methods_are_documented() -> None:
    undocumented = [
        f"{cls.__name__}.{name}"
        for cls in (*map(registry_class, REGISTRIES), ln.Store, ln.Q, QuerySet, Labels, LinkedSet, FeatureValues)
        for name in dir(cls)
        if not name.startswith("_")
        and (callable(getattr(cls, name, None)) or isinstance(getattr(cls, name, None), property))
        and not getattr(cls, name).__doc__
    ]
    assert not undocumented


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://u:p%40ss@h/db?schema=s", "postgresql://u@h/db?schema=s", "p%40ss"),
        ("postgresql://u@h/db?password=pw&schema=s", "postgresql://u@h/db?schema=s", "pw"),
        ("postgresql://h/db", "postgresql://h/db", None),
    ],
)
def test_no_password_is_kept_beside_the_store(url: str, bare: str, password: str | None) -> None:
    from lineagelog import location

    assert location.without_password(url) == (bare, password)
    restored = location.with_password(bare, password)
    assert location.without_password(restored) == (bare, password)
