//! The figures at `/metrics`, in Prometheus' text form.

use std::time::Duration;

use coracle_store::Store;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::identities::Identities;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    resource: String,
    code: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerbLabels {
    verb: String,
    resource: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CertificateLabels {
    certificate: &'static str,
}

/// What the API server counts.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<VerbLabels, Histogram, fn() -> Histogram>,
    /// Watches open now.
    pub(crate) watches: Gauge,
    revision: Gauge,
    keys: Gauge,
    log_bytes: Gauge,
    lacks_space: Gauge,
    is_leader: Gauge,
    expirations: Family<CertificateLabels, Gauge>,
    renewals: Family<CertificateLabels, Gauge>,
}

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        let mut metrics = Metrics {
            registry: Registry::default(),
            requests: Family::default(),
            durations,
            watches: Gauge::default(),
            revision: Gauge::default(),
            keys: Gauge::default(),
            log_bytes: Gauge::default(),
            lacks_space: Gauge::default(),
            is_leader: Gauge::default(),
            expirations: Family::default(),
            renewals: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("apiserver_request", "Requests by verb, resource and code", metrics.requests.clone());
        let help = "Seconds from a request's head to its answer's; for watches, to their start";
        registry.register("apiserver_request_duration_seconds", help, metrics.durations.clone());
        registry.register("apiserver_longrunning_watches", "Watches open now", metrics.watches.clone());
        registry.register("coracle_store_revision", "The revision readers see", metrics.revision.clone());
        registry.register("coracle_store_keys", "Objects stored", metrics.keys.clone());
        registry.register("coracle_store_log_bytes", "Bytes of the Raft log", metrics.log_bytes.clone());
        let help = "1 if the disk is so full that writes which need space are refused, or soon will be";
        registry.register("coracle_store_lacks_space", help, metrics.lacks_space.clone());
        registry.register("coracle_store_is_leader", "1 if this member leads", metrics.is_leader.clone());
        let help = "When this member's certificates end, in seconds since 1970";
        registry.register("coracle_certificate_expiration_seconds", help, metrics.expirations.clone());
        let help = "When they are to be renewed";
        registry.register("coracle_certificate_renewal_seconds", help, metrics.renewals.clone());
        metrics
    }

    /// Counts a request that was answered.
    pub(crate) fn observe(&self, verb: &str, resource: &str, code: u16, took: Duration) {
        let (verb, resource) = (verb.to_owned(), resource.to_owned());
        let labels = VerbLabels { verb: verb.clone(), resource: resource.clone() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { verb, resource, code: code.into() }).inc();
    }

    /// The figures as text.
    pub(crate) fn render(&self, store: &Store, identities: &Identities) -> String {
        let status = store.status();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.revision.set(gauge(status.revision));
        self.keys.set(gauge(status.keys as u64));
        self.log_bytes.set(gauge(status.log_bytes));
        self.lacks_space.set(status.lacks_space.into());
        self.is_leader.set((status.leader == Some(status.member.id)).into());
        for (certificate, identity) in identities.named() {
            let labels = CertificateLabels { certificate };
            self.expirations.get_or_create(&labels).set(identity.validity().not_after.as_second());
            self.renewals.get_or_create(&labels).set(identity.renewal().as_second());
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("invariant: writing to memory does not fail");
        text
    }
}
