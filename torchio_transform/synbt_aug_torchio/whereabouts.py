"""The name of the label map that tells where a subject's voxels came from; it labels nothing."""

#: The subject's key.
WHEREABOUTS = "synbt_whereabouts"
