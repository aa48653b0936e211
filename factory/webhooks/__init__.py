"""Telling a customer's server that a job ended: Standard Webhooks, at least once.

https://www.standardwebhooks.com
"""
