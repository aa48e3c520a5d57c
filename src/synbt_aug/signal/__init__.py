"""What voxel values mean: scales, display ranges, the hole and what fills it, scan noise."""
