"""RunPod's job API on one machine, with the jobs in a database.

RunPod's client and the worker of RunPod's SDK both use it unchanged. It handles a job's JSON and nothing else: it does
not know the requests in it, the models, or how a worker makes a video.
"""
