"""The text of `/metrics` for Prometheus: what the service counts anyway, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .service import Service

_P = "drishtiksha_model"
_NETWORK = {
    "runs": "Runs of the networks of bundles.",
    "requests": "Requests in the runs of the networks of bundles.",
    "samples": "Samples in the runs of the networks of bundles.",
}


def text(service: Service) -> bytes:
    """All that there is, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(service))
    return generate_latest(registry)


class _Now(Collector):
    """The service at this moment."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        service, pool = self._service, self._service.pool
        networks = pool.networks
        loaded = {model["name"]: bool(model["loaded"]) for model in service.models}
        yield _by_model(GaugeMetricFamily(f"{_P}_loaded", "Whether the detector is loaded.", labels=["model"]), loaded)
        answers = CounterMetricFamily(f"{_P}_answers", "Analyses that ended, by outcome.", labels=["model", "outcome"])
        for labels, count in sorted(service.answers.items()):
            answers.add_metric(labels, count)
        yield answers
        spent = CounterMetricFamily(f"{_P}_answer_seconds", "Seconds of analyses, waiting included.", labels=["model"])
        yield _by_model(spent, service.seconds)
        in_flight = service.in_flight
        yield GaugeMetricFamily(f"{_P}_requests_in_flight", "Requests that are examined or wait.", value=in_flight)
        yield CounterMetricFamily(f"{_P}_worker_deaths", "Workers that died over a file.", value=pool.crashes)
        yield CounterMetricFamily(f"{_P}_network_deaths", "Processes of networks that died.", value=networks.deaths)
        for what, told in _NETWORK.items():
            family = CounterMetricFamily(f"{_P}_network_{what}", told, labels=["model"])
            yield _by_model(family, getattr(networks, what))


def _by_model(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]) -> Metric:
    for model, value in sorted(values.items()):
        family.add_metric([model], value)
    return family
