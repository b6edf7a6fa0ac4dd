"""From a URL to a stored image: fetch, compress, store, and the runner that overlaps them."""
