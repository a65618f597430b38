"""Importing libraries that have no type stubs and need not be installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def module(name: str) -> Any:
    """Import a module.

    Raises:
        ImportError: It is not installed.
    """
    return import_module(name)
