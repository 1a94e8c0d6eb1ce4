"""What every HTTP service of ours needs: request bodies with a limit, access for callers, and public addresses.

It knows nothing of jobs, models or videos.
"""
