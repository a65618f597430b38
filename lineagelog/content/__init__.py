"""The content of artifacts: how it is saved, found, read, checked, and how it ends."""
