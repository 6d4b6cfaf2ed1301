"""Work that is done after the answer, and is never lost: the outbox that handlers write to, and the jobs that read it.

The modules: ``declaration`` (what a job is), ``outbox`` (what handlers hold, and what travels with a message),
``runner`` (does one message), ``embedded`` (the table and the worker of SQLite), ``queue`` (procrastinate, on
PostgreSQL), ``service`` (all of it, in one process).
"""

from app.background.declaration import Declared, Job, JobContext, Jobs, JobSignature, read_signature
from app.background.outbox import DeadMessage, Outbox, UnknownJob
from app.background.service import Background

__all__ = [
    "Background",
    "DeadMessage",
    "Declared",
    "Job",
    "JobContext",
    "JobSignature",
    "Jobs",
    "Outbox",
    "UnknownJob",
    "read_signature",
]
