"""Whether a PROV document is valid: each instance is normalized and checked on its own.

References:
    PROV-CONSTRAINTS 7.1 (instances) and 7.2 (bundles and documents)
"""

from __future__ import annotations

from lineagelog.exporters.constraints.impossibility import check_empty_collections, check_names, check_types
from lineagelog.exporters.constraints.normal_form import normal_form
from lineagelog.exporters.constraints.ordering import check_ordering, order_events
from lineagelog.exporters.constraints.report import Report, Violation
from lineagelog.exporters.constraints.specialization import check_irreflexive, hand_down
from lineagelog.exporters.constraints.times import compare_times
from lineagelog.exporters.constraints.uniqueness import merge_statements
from lineagelog.exporters.readers.document import Document


def validate(document: Document, *, times: bool = False) -> Report:
    """Check a document against PROV-CONSTRAINTS.

    Normalization fails where two constants would have to be one; the recommendation stops there. Here the other checks run all the
    same: what is stated twice differently is still stated, and one run shows everything that is wrong.

    Args:
        document: What a reader made of a file.
        times: Also warn of times that contradict the order of events, which the recommendation does not forbid.

    Returns:
        The verdict, with every violation.
    """
    violations: list[Violation] = []
    warnings: list[str] = []
    for bundle, statements in ((None, document.toplevel), *document.bundles.items()):
        instance = normal_form(statements, bundle, document.short)
        merge_statements(instance)
        entities = hand_down(instance)
        check_irreflexive(instance)
        events = order_events(instance, entities)
        check_ordering(instance, events)
        check_types(instance)
        check_names(instance, entities)
        check_empty_collections(instance, entities)
        violations += instance.violations
        if times:
            warnings += compare_times(instance, events)
    return Report(
        tuple(violations),
        document.n_statements,
        len(document.bundles),
        document.format,
        tuple(document.notes),
        tuple(dict.fromkeys(warnings)),
    )
