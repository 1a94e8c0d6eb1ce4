"""Servers and processes that measurements and tests run against: an endpoint, a database, a bucket and its faults."""
