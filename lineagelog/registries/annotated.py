"""What artifacts, runs and collections share beside their lineage: labels, projects and values of features can be put on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineagelog.registries.lineal import LinealRecord

if TYPE_CHECKING:
    from lineagelog.registries.entity import Record
    from lineagelog.registries.label import ULabel
    from lineagelog.registries.linking import Labels, LinkedSet
    from lineagelog.registries.measuring import FeatureValues
    from lineagelog.registries.project import Project


class AnnotatedRecord(LinealRecord):
    """A record of the lineage, which can be annotated."""

    @property
    def labels(self) -> Labels:
        """Its labels from both registries; `labels.add(label)` and `labels.remove(label)` change them."""
        from lineagelog.registries.linking import Labels

        return Labels(self)

    @property
    def ulabels(self) -> LinkedSet[ULabel]:
        """Its labels of the registry `ULabel`."""
        return self._linked("ULabel", "ulabel")

    @property
    def records(self) -> LinkedSet[Record]:
        """Its labels of the registry `Record`."""
        return self._linked("Record", "record")

    @property
    def projects(self) -> LinkedSet[Project]:
        """Projects it belongs to; `projects.add(project)` and `projects.remove(project)` change them."""
        return self._linked("Project", "project")

    @property
    def features(self) -> FeatureValues:
        """Its features and their values: `features.add_values({…})`, `add(feature)`, `get_values()`, `remove_values(…)`."""
        from lineagelog.registries.measuring import FeatureValues

        return FeatureValues(self)

    def _linked(self, registry: str, kind: str) -> LinkedSet[Any]:
        from lineagelog.registries.linking import linked

        return linked(self, registry, {f"{self.registry.name.lower()}s": self}, kind)
