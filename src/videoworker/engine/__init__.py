"""The device: loads, places, keeps and drops networks, and makes the frames of plans."""
