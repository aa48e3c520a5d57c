"""The loop that every training runs in: its steps, its log, its checkpoints."""
