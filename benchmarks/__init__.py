"""Speed, measured: each figure beside its physical limit or a peer, in one run, since machines differ and are noisy."""
