"""What a tumor is, what it looks like, and where it goes."""
