"""Long tests with faults: `python -m campaigns`; a short profile of each is part of the test suite."""
