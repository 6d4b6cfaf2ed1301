"""What a route has earned: its stage, its budget, a person's word about it, and the evidence.

``service`` holds every route's budget and keeps both sides up to date; ``control`` is where people's words and the
evidence of all processes lie: a folder, or Redis; ``evidence`` counts, adds up and judges.
"""

from app.stages.control import Act, Control, ControlUnavailable, Order, make_control
from app.stages.evidence import Evidence, Verdict, verdict
from app.stages.service import Stages

__all__ = [
    "Act",
    "Control",
    "ControlUnavailable",
    "Evidence",
    "Order",
    "Stages",
    "Verdict",
    "make_control",
    "verdict",
]
