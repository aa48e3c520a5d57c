"""The nnU-Net v2 adapter: the trainers, and the mixin to compose one's own.

Nothing is imported here: importing nnU-Net takes seconds.
"""
