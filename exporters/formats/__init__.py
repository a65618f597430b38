"""The formats that exports are written in, each a writer over one stream of statements."""
