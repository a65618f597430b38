"""PROV statements and the formats they are written in, queries and pictures of them."""
