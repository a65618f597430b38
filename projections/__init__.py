"""What the log means: registry tables, the lineage graph, queries over both."""
