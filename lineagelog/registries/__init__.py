"""The registries of a store, what their records share, and the queries over them."""
