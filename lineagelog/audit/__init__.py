"""What auditors ask of a store: who changed what, whether the log is whole, and proof of it."""
