"""Loads, places and runs models; knows torch, knows no API."""
