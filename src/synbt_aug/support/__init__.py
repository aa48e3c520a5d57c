"""What every floor stands on: numbers, ranges, files, locks, progress, workers, words."""
