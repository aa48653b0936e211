"""Tells a customer's server that a job ended: Standard Webhooks, delivered at least once.

https://www.standardwebhooks.com
"""
