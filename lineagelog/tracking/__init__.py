"""Work that records itself: scripts, notebooks, functions and other programs become runs."""
