"""RunPod's job API on one machine, jobs in a database: RunPod's client and its SDK's worker meet on it unchanged.

It knows only job JSON: nothing of the requests inside it, of models or of how a worker makes videos.
"""
