"""SPARQL over exports: a graph in a process of its own, its index, and questions with names."""
