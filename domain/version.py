"""The version of the software, in the one place that packaging and events read it from."""

VERSION = "0.1.0"
