"""From the projection tables to PROV statements: one stream of blocks, ordered by kind of statement.

Everything is read in streams, several times where several kinds of statement come of one table, so that memory does not grow
with the store; only users and storage locations are held. For a part of the store the ids of its records are held as well.

References:
    PROV-CONSTRAINTS, https://www.w3.org/TR/prov-constraints/; the numbers in comments are its constraints
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from lineagelog.domain.errors import ExportError
from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block
from lineagelog.exporters.mapping.annotating import AnnotationMapper
from lineagelog.exporters.mapping.artifact import ArtifactMapper
from lineagelog.exporters.mapping.collection import CollectionMapper
from lineagelog.exporters.mapping.definition import DefinitionMapper
from lineagelog.exporters.mapping.deletion import DeletionMapper
from lineagelog.exporters.mapping.derivation import DerivationMapper, count_omitted_derivations
from lineagelog.exporters.mapping.fixity import FixityMapper
from lineagelog.exporters.mapping.rows import Ids, moment
from lineagelog.exporters.mapping.run import RunMapper
from lineagelog.exporters.mapping.source import Source
from lineagelog.exporters.mapping.surrounding import SurroundingMapper
from lineagelog.exporters.mapping.transform import TransformMapper
from lineagelog.exporters.part import Part
from lineagelog.exporters.scope import Scope
from lineagelog.exporters.statement import (
    Activity,
    Agent,
    Association,
    Bundle,
    Derivation,
    Entity,
    Generation,
    Moment,
    Name,
    Statement,
)
from lineagelog.projections.reader import Reader

_Pass: TypeAlias = Callable[[], Iterator[Block]]


@dataclass(frozen=True, slots=True)
class Export:
    """An export on its way to a writer.

    Attributes:
        prefixes: Every prefix that names are written with, and its IRI.
        bundle: Name of the bundle.
        left_out: What the export does not hold, by kind.
        blocks: The statements. Those before the `Bundle` mark describe the export itself. Each kind of statement comes in
            one piece, before the mark and after it.
    """

    prefixes: Mapping[str, str]
    bundle: Name
    left_out: Mapping[str, int]
    blocks: Iterator[Block]

    @property
    def statements(self) -> Iterator[Statement]:
        """The statements one by one, for whom they are few."""
        return chain.from_iterable(block.statements() for block in self.blocks)


def open_export(
    reader: Reader,
    *,
    scope: Scope,
    head_position: int,
    head_root: str,
    software: str,
    base: str,
    only: Ids = None,
) -> Export:
    """Find out what an export holds, and hand out its statements.

    Args:
        reader: One consistent view of the store.
        scope: What to export.
        head_position: Last position of the log in that view.
        head_root: Merkle tree head at that position.
        software: Name and version of the exporting software.
        base: Beginning of the IRIs of all records.
        only: Of an export of the whole store, nothing but what is said of the records with these ids, and of the export itself.

    Raises:
        RecordNotFoundError: The subject of the scope does not exist.
        ExportError: The view holds no store.
    """
    uid, title, created_at = open_store(reader)
    part = None if scope.is_whole else Part.find(reader, scope)
    left_out = {} if part is None else part.left_out
    omitted = count_omitted_derivations(reader, None if part is None else part.runs)
    if omitted:
        left_out = {**left_out, "derivations": sum(omitted.values())}
    slug = f"e{head_position}-{scope.slug}"
    description = _Description(
        bundle=Name(f"export:{slug}"),
        activity=Name(f"exporting:{slug}"),
        log=Name(f"log:e{head_position}"),
        software=software,
        scope=scope,
        title=title,
        created_at=moment(created_at),
        position=head_position,
        root=head_root,
        left_out=left_out,
    )
    blocks = chain(map(Block.of, description.statements()), _blocks(Source(reader, part, only), omitted))
    return Export(v.store_prefixes(base, uid), description.bundle, left_out, blocks)


def open_store(reader: Reader) -> tuple[str, str, str]:
    """Read uid, name and time of creation of the store.

    Raises:
        ExportError: The view holds no store.
    """
    stores = reader.read("SELECT uid, name, created_at FROM stores ORDER BY position")
    if not stores:
        raise ExportError("there is nothing to export: the database holds no store; create one with `prov init`")
    uid, title, created_at = stores[0]
    return str(uid), str(title), str(created_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """What an export says of itself: a bundle, made by an export activity from the log as it was at one position."""

    bundle: Name
    activity: Name
    log: Name
    software: str
    scope: Scope
    title: str
    created_at: Moment
    position: int
    root: str
    left_out: Mapping[str, int]

    def statements(self) -> Iterator[Statement]:
        agent = Name(f"software:{re.sub('[^A-Za-z0-9]+', '-', self.software).strip('-') or 'unnamed'}")
        counts = ((v.left_out_name(what), count) for what, count in self.left_out.items())
        yield Agent(agent, ((v.TYPE, v.SOFTWARE_AGENT), (v.LABEL, self.software)))
        yield Entity(self.bundle, ((v.TYPE, v.BUNDLE), *self.scope.attributes(), *counts))
        yield Entity(
            self.log,
            (
                (v.TYPE, v.EVENT_LOG),
                (v.TITLE, self.title),
                (v.CREATED, self.created_at),
                *(((v.FIRST_POSITION, 1),) if self.position else ()),
                (v.LAST_POSITION, self.position),
                (v.MERKLE_ROOT, self.root),
            ),
        )
        # No times: two exports of one position are the same, byte for byte.
        yield Activity(self.activity, None, None, ((v.TYPE, v.EXPORTING),))
        slug = self.bundle.removeprefix("export:")
        # No usage of the log: `?activity prov:used ?artifact` is to find what was done with artifacts and nothing else.
        yield Generation(Name(f"generation:{slug}"), self.bundle, self.activity)
        yield Association(Name(f"association:{slug}"), self.activity, agent, None, ((v.ROLE, v.EXPORTER),))
        yield Derivation(None, self.bundle, self.log)
        yield Bundle(self.bundle)


def _blocks(source: Source, omitted: Mapping[str, int]) -> Iterator[Block]:
    """Hand out every statement, each kind in one piece."""
    surroundings, definitions, notes = SurroundingMapper(source), DefinitionMapper(source), AnnotationMapper(source)
    transforms, artifacts, collections = TransformMapper(source), ArtifactMapper(source), CollectionMapper(source)
    derivations = DerivationMapper(source, omitted)
    runs, fixity, deletions = RunMapper(source, omitted), FixityMapper(source), DeletionMapper(source)
    passes: tuple[_Pass, ...] = (
        surroundings.users, surroundings.interpreters,
        surroundings.storages, surroundings.environments, transforms.families, transforms.entities,
        artifacts.families, artifacts.entities, collections.families, collections.entities,
        definitions.entities, notes.entities,
        runs.sessions, runs.activities, notes.activities, fixity.activities, deletions.activities,
        artifacts.generations, collections.generations, notes.generations,
        notes.invalidations, deletions.invalidations,
        runs.usages, fixity.usages,
        runs.communications, notes.communications, fixity.communications, deletions.communications,
        runs.session_associations, runs.associations, notes.associations, fixity.associations, deletions.associations,
        runs.delegations,
        transforms.attributions, artifacts.attributions, collections.attributions, definitions.attributions,
        transforms.revisions, artifacts.revisions, collections.revisions, derivations.derivations,
        transforms.specializations, artifacts.specializations, collections.specializations,
        collections.memberships, notes.memberships,
    )  # fmt: skip
    for make in passes:
        yield from make()
