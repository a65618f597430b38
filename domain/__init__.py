"""What may happen in a provenance store: events, identifiers, values, rules and errors; no I/O."""
