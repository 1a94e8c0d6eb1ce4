"""From a request and the models' declarations to a plan: which variant, size, segments, memory, seconds. No torch."""
