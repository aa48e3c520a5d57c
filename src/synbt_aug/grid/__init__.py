"""Where voxels lie: one grid or two, masks and distances, window boxes, poses."""
