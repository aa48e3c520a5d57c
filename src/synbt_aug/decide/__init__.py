"""What to paint, how it looks and where: everything random, as plans without pixels."""
