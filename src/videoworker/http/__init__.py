"""What every HTTP service of ours needs: a server and request bodies with limits, access for callers, public addresses.

It knows nothing of jobs, models or videos.
"""
