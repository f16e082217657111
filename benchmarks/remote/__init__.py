"""Runs on boards elsewhere, by the system's OpenSSH client: ship, run, bring back, clean up.

`run_on.run_on` is the entrance. On the board, `edgekit bench` runs detached from the link, so that a link which drops
costs nothing but the time until it is back.
"""
