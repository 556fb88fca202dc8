//! Counters for Prometheus.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// What a request is counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Route,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Route,
}

/// A route as the document names it: `/names/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Route(Arc<str>);

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(&self.0)
    }
}

/// A route and its clock.
#[derive(Debug)]
struct Clock {
    route: Route,
    latency: Histogram,
}

/// All that is counted.
#[derive(Debug)]
pub(super) struct Meter {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    clocks: HashMap<Box<str>, Clock>,
    elsewhere: Clock,
    /// Requests that are being worked on.
    pub(super) in_flight: Gauge,
    /// Connections that are open.
    pub(super) connections: Gauge,
    /// Bytes of bodies that came.
    pub(super) bytes_in: Counter,
    /// Bytes of bodies that went.
    pub(super) bytes_out: Counter,
    /// Deltas asked for.
    pub(super) lookups: Counter,
    /// Those of them that were there already.
    pub(super) hits: Counter,
    /// Seconds that making one took.
    pub(super) computed: Histogram,
    /// Requests refused because there were too many.
    pub(super) shed: Counter,
    /// Panics of handlers: bugs.
    pub(super) panics: Counter,
}

/// What no route is counted under.
const ELSEWHERE: &str = "other";

fn latency() -> Histogram {
    Histogram::new([0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0])
}

impl Meter {
    /// Counters for these routes, and for what is asked for elsewhere.
    pub(super) fn new<'a>(routes: impl IntoIterator<Item = &'a str>) -> Arc<Self> {
        let mut registry = Registry::with_prefix("gmcf");
        let requests = Family::default();
        let latency: Family<RouteLabels, Histogram> = Family::new_with_constructor(latency as fn() -> Histogram);
        let clock = |route: &str| {
            let route = Route(route.into());
            let latency = latency.get_or_create_owned(&RouteLabels { route: route.clone() });
            Clock { route, latency }
        };
        let clocks = routes.into_iter().map(|route| (route.into(), clock(route))).collect();
        let elsewhere = clock(ELSEWHERE);
        let computed = Histogram::new([0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0]);
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        let (bytes_in, bytes_out): (Counter, Counter) = (Counter::default(), Counter::default());
        let (lookups, hits, shed, panics): (Counter, Counter, Counter, Counter) = Default::default();
        registry.register("http_requests", "Requests answered", Family::clone(&requests));
        let name = "http_request_duration";
        registry.register_with_unit(name, "Time until an answer began", Unit::Seconds, Family::clone(&latency));
        registry.register("http_requests_in_flight", "Requests being worked on", in_flight.clone());
        registry.register("http_connections", "Open connections", connections.clone());
        registry.register_with_unit("http_received", "Bodies received", Unit::Bytes, bytes_in.clone());
        registry.register_with_unit("http_sent", "Bodies sent", Unit::Bytes, bytes_out.clone());
        registry.register("delta_lookups", "Deltas asked for", lookups.clone());
        registry.register("delta_hits", "Deltas asked for that were there already", hits.clone());
        let text = "Time that making a delta took";
        registry.register_with_unit("delta_compute", text, Unit::Seconds, computed.clone());
        registry.register("http_requests_shed", "Requests refused because there were too many", shed.clone());
        registry.register("panics", "Bugs that a request came upon", panics.clone());
        let meter = Self {
            registry,
            requests,
            clocks,
            elsewhere,
            in_flight,
            connections,
            bytes_in,
            bytes_out,
            lookups,
            hits,
            computed,
            shed,
            panics,
        };
        Arc::new(meter)
    }

    /// Counts a request to a route, or to none.
    pub(super) fn answered(&self, route: Option<&str>, method: &'static str, status: u16, took: Duration, sent: u64) {
        let clock = route.and_then(|route| self.clocks.get(route)).unwrap_or(&self.elsewhere);
        self.requests.get_or_create(&RequestLabels { route: clock.route.clone(), method, status }).inc();
        clock.latency.observe(took.as_secs_f64());
        self.bytes_out.inc_by(sent);
    }

    /// All of it, in the text format of OpenMetrics.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}
