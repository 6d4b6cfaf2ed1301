"""Add an endpoint where game designers upload a small scoring rule in Python and see what it scores."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(prefix="/v1/scoring", tags=["scoring"])


class RuleTrial(BaseModel):
    """A rule that defines ``score(points, wins)``, and what to try it on."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=2000)
    points: int = Field(ge=0, le=1_000_000)
    wins: int = Field(ge=0, le=10_000)


class RuleResult(BaseModel):
    """What the rule made of it."""

    score: Annotated[int, Field(ge=0)]


class ScoringEngine:
    """Runs the rules of designers."""

    allowed = {"min": min, "max": max, "round": round}

    def __init__(self, source: str) -> None:
        self._names: dict[str, object] = {}
        self._load(source)

    def _load(self, source: str) -> None:
        code = compile(source, "<rule>", "exec")
        exec(code, {"__builtins__": self.allowed}, self._names)  # expect: code-from-input

    def score(self, points: int, wins: int) -> int:
        """Apply the rule."""
        rule = self._names.get("score")
        if not callable(rule):
            raise HTTPException(422, "The rule defines no score().")
        return max(0, int(rule(points, wins)))


@router.post("/trial")
async def try_rule(trial: RuleTrial) -> RuleResult:
    """Try a rule."""
    engine = ScoringEngine(trial.source)
    return RuleResult(score=engine.score(trial.points, trial.wins))
