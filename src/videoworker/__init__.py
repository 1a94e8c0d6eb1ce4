"""A RunPod Serverless worker for open video models."""

__version__ = "0.1.0"
