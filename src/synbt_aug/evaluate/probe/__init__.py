"""What a segmenter finds of tumors that were implanted: by size, contrast and place."""
