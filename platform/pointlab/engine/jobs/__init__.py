"""Jobs on a cluster that runs elsewhere: what they ship, the server that takes them on, and their logs.

Only HTTP is spoken with the head, so that a laptop submits to a cluster that it is no part of.
"""
