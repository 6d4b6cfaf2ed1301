"""The tables. A model that stands in a module of this package is found by the migrations, and by the checks.

``class Order(Owned, Base)`` belongs to who made it: every statement of a request reaches only what its caller may
reach, without a word in the handler. ``class Stock(Base)`` belongs to nobody and is shared.
"""

from app.models.base import Base, Owned, UtcDateTime, load_models

__all__ = ["Base", "Owned", "UtcDateTime", "load_models"]
