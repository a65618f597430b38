"""Whether a PROV document is valid: each instance is normalized and checked on its own.

References:
    PROV-CONSTRAINTS 7.1 (instances) and 7.2 (bundles and documents)
"""

from __future__ import annotations

from collections.abc import Iterable

from lineagelog.exporters.constraints.impossibility import check_empty_collections, check_names, check_types
from lineagelog.exporters.constraints.normal_form import normal_form
from lineagelog.exporters.constraints.ordering import check_ordering
from lineagelog.exporters.constraints.report import Report, Violation
from lineagelog.exporters.constraints.specialization import check_irreflexive, hand_down
from lineagelog.exporters.constraints.uniqueness import merge_statements
from lineagelog.exporters.readers.document import Document, Statement


def validate(document: Document) -> Report:
    """Check a document against PROV-CONSTRAINTS.

    Normalization fails where two constants would have to be one; the recommendation stops there. Here the other checks run all the
    same: what is stated twice differently is still stated, and one run shows everything that is wrong.

    Args:
        document: What a reader made of a file.

    Returns:
        The verdict, with every violation.
    """
    violations: list[Violation] = []
    for bundle, statements in ((None, document.toplevel), *document.bundles.items()):
        violations += _validate_instance(document, bundle, statements)
    return Report(
        tuple(violations), document.n_statements, len(document.bundles), document.format, tuple(document.notes)
    )


def _validate_instance(document: Document, bundle: str | None, statements: Iterable[Statement]) -> list[Violation]:
    instance = normal_form(statements, bundle, document.short)
    merge_statements(instance)
    entities = hand_down(instance)
    check_irreflexive(instance)
    check_ordering(instance, entities)
    check_types(instance)
    check_names(instance, entities)
    check_empty_collections(instance, entities)
    return instance.violations
