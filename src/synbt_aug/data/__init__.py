"""Reading and writing scans and cohorts."""
