"""Attacks every route that the service has, over real sockets, without anyone writing a test for it.

What a route is and who may call it comes from its policy and its OpenAPI document, so a handler that was added a
minute ago is attacked like all others. ``python -m tests.gauntlet`` runs it; it is the last layer of ``make check``.
"""
