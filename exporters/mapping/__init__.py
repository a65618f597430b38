"""From the projection tables to PROV: a module for each kind of record, and one stream of all."""
