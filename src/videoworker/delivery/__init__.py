"""Turning the finished file into what the caller gets."""
