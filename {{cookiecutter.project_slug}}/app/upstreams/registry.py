"""The declared services of one process: opened at boot, watched while it runs, closed at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from app.settings import BootRefused
from app.upstreams.pipeline import LAYERS, Layer, Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.settings import Settings
    from app.upstreams.call import CallContext
    from app.upstreams.client import Connection, UpstreamClient
    from app.upstreams.telemetry import UpstreamTelemetry

U = TypeVar("U", bound="UpstreamClient[Any]")


class Upstreams:
    """Every declared service, and the state of the calls to each.

    Args:
        settings: where each is.
        telemetry: sees every call.
        declared: the services.
        simulators: name -> what returns the URL of its simulator.
        layers: what stands round a call, outermost first.
        clocks: for tests; see :class:`Pipeline`.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: UpstreamTelemetry,
        *,
        declared: Iterable[type[UpstreamClient[Any]]],
        simulators: Mapping[str, Callable[[], str]] | None = None,
        layers: tuple[Layer, ...] = LAYERS,
        **clocks: Any,
    ) -> None:
        self._settings, self._simulators = settings, simulators or {}
        self._declared = {kind.upstream.name: kind for kind in declared}
        self._pipelines = {
            name: Pipeline(kind.upstream, telemetry, layers=layers, **clocks) for name, kind in self._declared.items()
        }
        self._connections: dict[str, Connection] = {}
        for figure, description, read in (
            ("circuit", "State of the circuit: 0 closed, 1 half-open, 2 open, 3 isolated.", Pipeline.circuit_level),
            ("retry_budget", "Retries that the budget still has.", Pipeline.retries_left),
            ("in_flight", "Calls that have a place in the bulkhead.", Pipeline.in_flight),
            ("queued", "Calls that wait for a place.", Pipeline.queued),
        ):
            telemetry.observe(f"breakwater.upstream.{figure}", description, self._reader(read))

    def _reader(self, read: Callable[[Pipeline], float]) -> Callable[[], Mapping[str, float]]:
        return lambda: {name: read(self._pipelines[name]) for name in tuple(self._connections)}

    def open(self, names: Iterable[str]) -> None:
        """Make the connections to these services, so that no request has to; what is open stays as it is.

        Raises:
            BootRefused: with everything that the settings lack for it.
        """
        problems: list[str] = []
        for name in sorted(set(names) - self._connections.keys()):
            try:
                self._connections[name] = self._declared[name].connect(self._settings_for(name))
            except BootRefused as refused:
                problems += refused.problems
        if problems:
            raise BootRefused(problems)

    def _settings_for(self, name: str) -> Settings:
        if name in self._simulators and self._declared[name].upstream.is_simulated(self._settings):
            return self._settings.model_copy(update={f"{name}_url": self._simulators[name]()})
        return self._settings

    def client(self, kind: type[U], context: CallContext) -> U:
        """Return a service for somebody to call.

        Raises:
            OutboundNotAllowed: the policy does not let this route reach it.
        """
        name = kind.upstream.name
        connection = self._connections.get(name)
        if connection is None and name in context.outbound:
            raise RuntimeError(f"{name} is not open: Upstreams.open() comes before the first call")
        return kind(self._pipelines[name], connection, context)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is declared."""
        return tuple(self._pipelines)

    def pipeline(self, name: str) -> Pipeline:
        """Return what stands round the calls to a service, to isolate it, reset it or look at it."""
        return self._pipelines[name]

    def checks(self) -> dict[str, Callable[[], Mapping[str, object]]]:
        """Return a check for the readiness report of each service. One that is away makes this one degraded."""
        return {f"upstream_{name}": each.check for name, each in self._pipelines.items() if each.upstream.breaker}

    async def aclose(self) -> None:
        """Close every connection."""
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.aclose()
