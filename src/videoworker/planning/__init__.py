"""From a request and the models' declarations to a plan: variant, size, segments, memory, seconds. No torch."""
