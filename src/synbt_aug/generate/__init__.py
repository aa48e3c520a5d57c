"""A dataset of synthetic cases on disk, for networks that are trained without this package."""
