"""What every service of ours that keeps jobs needs: a database of its own, changes in groups, and faults told.

It knows nothing of jobs.
"""
