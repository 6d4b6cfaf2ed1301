"""The operator's page: what every route and every service behind this one is doing, and what a person may do about it.

``snapshot`` collects, ``page`` renders, ``router`` answers. Off unless ``APP_OPS`` is set.
"""

from app.ops.router import COOKIE, Desk, Visitor, router
from app.ops.snapshot import Operations, Refusal

__all__ = ["COOKIE", "Desk", "Operations", "Refusal", "Visitor", "router"]
