//! What the ingress counts: per worker, so that no counter is shared while requests are served; summed when scraped.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds.
const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 30_000_000,
];

/// The counters of all workers of an ingress.
pub struct Metrics {
    workers: Box<[WorkerMetrics]>,
}

/// The counters of one worker, on cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct WorkerMetrics {
    by_class: [AtomicU64; 5],
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    duration_us: AtomicU64,
    begun: AtomicU64,
    ended: AtomicU64,
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
}

impl WorkerMetrics {
    pub(crate) fn request_begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is over: its answer went out whole or its client went away.
    pub(crate) fn request_ends(&self, status: http::StatusCode, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
        self.buckets[BOUNDS_US.partition_point(|bound| *bound < took_us)].fetch_add(1, Ordering::Relaxed);
        self.duration_us.fetch_add(took_us, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_opens(&self) {
        self.connections_opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closes(&self) {
        self.connections_closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        let closed = self.connections_closed.load(Ordering::Relaxed);
        self.connections_opened.load(Ordering::Relaxed).saturating_sub(closed)
    }
}

impl Metrics {
    /// Counters for an ingress of so many workers.
    pub fn new(workers: usize) -> Metrics {
        Metrics { workers: (0..workers.max(1)).map(|_| WorkerMetrics::default()).collect() }
    }

    pub(crate) fn worker(&self, index: usize) -> &WorkerMetrics {
        &self.workers[index % self.workers.len()]
    }

    /// Requests that were answered.
    pub fn requests(&self) -> u64 {
        self.sum(|worker| &worker.ended)
    }

    /// Requests being answered.
    pub fn in_flight(&self) -> u64 {
        let ended = self.sum(|worker| &worker.ended);
        self.sum(|worker| &worker.begun).saturating_sub(ended)
    }

    /// Appends the counters in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        let mut line =
            |args: std::fmt::Arguments<'_>| writeln!(out, "{args}").expect("invariant: a String takes all text");
        line(format_args!("# HELP coracle_ingress_requests_total Requests answered, by class of status code."));
        line(format_args!("# TYPE coracle_ingress_requests_total counter"));
        for class in 0..5 {
            let count = self.sum(|worker| &worker.by_class[class]);
            line(format_args!("coracle_ingress_requests_total{{code=\"{}xx\"}} {count}", class + 1));
        }
        line(format_args!("# HELP coracle_ingress_requests_in_flight Requests being answered."));
        line(format_args!("# TYPE coracle_ingress_requests_in_flight gauge"));
        line(format_args!("coracle_ingress_requests_in_flight {}", self.in_flight()));
        line(format_args!("# HELP coracle_ingress_connections Open connections."));
        line(format_args!("# TYPE coracle_ingress_connections gauge"));
        let connections: u64 = self.workers.iter().map(WorkerMetrics::connections).sum();
        line(format_args!("coracle_ingress_connections {connections}"));
        line(format_args!(
            "# HELP coracle_ingress_request_duration_seconds Time from a request's head to its answer's end."
        ));
        line(format_args!("# TYPE coracle_ingress_request_duration_seconds histogram"));
        let mut count = 0;
        for (index, bound_us) in BOUNDS_US.iter().enumerate() {
            count += self.sum(|worker| &worker.buckets[index]);
            let bound = *bound_us as f64 / 1e6;
            line(format_args!("coracle_ingress_request_duration_seconds_bucket{{le=\"{bound}\"}} {count}"));
        }
        count += self.sum(|worker| &worker.buckets[BOUNDS_US.len()]);
        line(format_args!("coracle_ingress_request_duration_seconds_bucket{{le=\"+Inf\"}} {count}"));
        let seconds = self.sum(|worker| &worker.duration_us) as f64 / 1e6;
        line(format_args!("coracle_ingress_request_duration_seconds_sum {seconds}"));
        line(format_args!("coracle_ingress_request_duration_seconds_count {count}"));
    }

    fn sum(&self, counter: impl Fn(&WorkerMetrics) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|worker| counter(worker).load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use http::StatusCode;

    use super::*;

    #[test]
    fn workers_are_summed() {
        let metrics = Metrics::new(2);
        for (worker, status, took_us) in [(0, 200, 50), (1, 200, 51), (1, 404, 700), (0, 503, 60_000_000)] {
            metrics.worker(worker).request_begins();
            let status = StatusCode::from_u16(status).unwrap();
            metrics.worker(worker).request_ends(status, Duration::from_micros(took_us));
        }
        metrics.worker(0).request_begins();
        metrics.worker(1).connection_opens();
        let mut text = String::new();
        metrics.render(&mut text);
        text.retain(|c| c != '\r');
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        expect![[r#"
            coracle_ingress_requests_total{code="1xx"} 0
            coracle_ingress_requests_total{code="2xx"} 2
            coracle_ingress_requests_total{code="3xx"} 0
            coracle_ingress_requests_total{code="4xx"} 1
            coracle_ingress_requests_total{code="5xx"} 1
            coracle_ingress_requests_in_flight 1
            coracle_ingress_connections 1
            coracle_ingress_request_duration_seconds_bucket{le="0.00005"} 1
            coracle_ingress_request_duration_seconds_bucket{le="0.0001"} 2
            coracle_ingress_request_duration_seconds_bucket{le="0.00025"} 2
            coracle_ingress_request_duration_seconds_bucket{le="0.0005"} 2
            coracle_ingress_request_duration_seconds_bucket{le="0.001"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.0025"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.005"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.01"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.025"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.05"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.1"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.25"} 3
            coracle_ingress_request_duration_seconds_bucket{le="0.5"} 3
            coracle_ingress_request_duration_seconds_bucket{le="1"} 3
            coracle_ingress_request_duration_seconds_bucket{le="2.5"} 3
            coracle_ingress_request_duration_seconds_bucket{le="10"} 3
            coracle_ingress_request_duration_seconds_bucket{le="30"} 3
            coracle_ingress_request_duration_seconds_bucket{le="+Inf"} 4
            coracle_ingress_request_duration_seconds_sum 60.000801
            coracle_ingress_request_duration_seconds_count 4"#]]
        .assert_eq(&lines.join("\n"));
    }
}
