"""The registry of projects: what runs, artifacts and collections belong to."""

from __future__ import annotations

from typing import Any

from lineagelog.domain.annotation import ProjectCreated, ProjectUpdated
from lineagelog.domain.event import Event
from lineagelog.domain.redaction import redact_url
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections.registry import PROJECT
from lineagelog.registries.definition import Definition


class Project(Definition):
    """A project: `ln.track(project="Screen 2026")`, `artifact.projects.add(project)`.

    Attributes:
        name: Name of the project, unique.
        description: Free text.
        url: Where more is written about it.
    """

    registry = PROJECT
    _updated = ProjectUpdated

    url: str | None

    def __init__(self, name: str, *, description: str | None = None, url: str | None = None) -> None:
        """Describe a project; `save()` creates it, or finds the one of this name that exists.

        Args:
            name: Its name.
            description: Free text.
            url: Where more is written about it.

        Raises:
            InvalidValueError: A text is not acceptable.
        """
        self._begin()
        self.name = check_name(name, "the name of the project")
        self.description = check_text(description, "the description") if description is not None else None
        self.url = redact_url(check_name(url, "the URL")) if url is not None else None

    def _defined(self, uid: str) -> Event:
        return ProjectCreated(uid=uid, name=self.name, description=self.description, url=self.url)

    def _check_field(self, name: str, value: Any) -> Any:
        checked = super()._check_field(name, value)
        return redact_url(checked) if name == "url" and checked is not None else checked
