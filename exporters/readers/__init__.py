"""Readers of PROV documents, one for each format; they open no network connection and read no other file."""
