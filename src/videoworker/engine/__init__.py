"""The device: loads, places, keeps and drops networks; makes the frames of plans."""
