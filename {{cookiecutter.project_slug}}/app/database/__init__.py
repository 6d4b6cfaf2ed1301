"""The database: where it is, how it is connected to, who may see what in it, and its migrations.

The modules: ``urls`` (settings to URLs and keys), ``engines`` (pools and bounds), ``service`` (sessions for requests
and transactions for the service itself), ``schema`` (what is checked at boot) and ``migrations``.
"""

from app.database.service import Database, RequestSession, TransactionLost

__all__ = ["Database", "RequestSession", "TransactionLost"]
