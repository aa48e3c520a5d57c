"""From plans to painted windows, a batch at once, on the device of the networks."""
