"""Settings of an injection: their defaults, a dataset's own, and how they are typed."""
