//! The flags of the controllers, named as kube-apiserver and kube-controller-manager name theirs.

use std::time::Duration;

use coracle_control::controllers::Settings;
use coracle_net::addresses::Cidr;
use jiff::SignedDuration;

use crate::duration::duration;
use crate::failure::{Failure, Result};

/// Hosts give a sign of life every second.
const GRACE_MIN: Duration = Duration::from_secs(2);

/// What the controllers are told.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Nodes")]
pub(crate) struct ControllerFlags {
    /// Where the ranges of the nodes' pod addresses are taken from
    #[arg(long, value_name = "CIDR", default_value_t = Settings::default().cluster_cidr)]
    cluster_cidr: Cidr,
    /// The leading bits of a node's range: with 20 a node takes up to 4,094 pods
    #[arg(long, value_name = "BITS", default_value_t = Settings::default().node_cidr_mask_size)]
    node_cidr_mask_size: u8,
    /// How long a host may be silent before its node is NotReady and its pods get no requests
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    node_monitor_grace_period: Duration,
    /// How long pods that don't say stay on a node that is not ready
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    default_not_ready_toleration_seconds: u32,
    /// How long pods that don't say stay on a node that is silent and therefore NotReady, before they are replaced
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    default_unreachable_toleration_seconds: u32,
}

impl ControllerFlags {
    /// The settings they stand for, in the cluster of a CA.
    pub(crate) fn settings(&self, ca_pem: &str) -> Result<Settings> {
        let (cluster_cidr, node_cidr_mask_size) = (self.cluster_cidr, self.node_cidr_mask_size);
        if cluster_cidr.split(node_cidr_mask_size).next().is_none() {
            let text =
                format!("--node-cidr-mask-size {node_cidr_mask_size} is no part of --cluster-cidr {cluster_cidr}");
            return Err(Failure::usage(text).hint("give the bits of a smaller range than the cluster's, at most 30"));
        }
        let grace = self.node_monitor_grace_period;
        if grace < GRACE_MIN {
            let text =
                format!("--node-monitor-grace-period {grace:?} is too short: hosts give a sign of life every second");
            return Err(Failure::usage(text).hint(format!("give at least {GRACE_MIN:?}")));
        }
        let seconds = |seconds: u32| SignedDuration::from_secs(seconds.into());
        Ok(Settings {
            ca_pem: ca_pem.into(),
            cluster_cidr,
            node_cidr_mask_size,
            node_monitor_grace_period: grace.try_into().unwrap_or(SignedDuration::MAX),
            default_not_ready_toleration: seconds(self.default_not_ready_toleration_seconds),
            default_unreachable_toleration: seconds(self.default_unreachable_toleration_seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use expect_test::{Expect, expect};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: ControllerFlags,
    }

    fn check(words: &str, expected: Expect) {
        let line = Line::try_parse_from(std::iter::once("up").chain(words.split_whitespace())).unwrap();
        expected.assert_eq(&match line.flags.settings("PEM") {
            Err(failure) => failure.to_string(),
            Ok(settings) => {
                let Settings { cluster_cidr, node_cidr_mask_size, node_monitor_grace_period, .. } = settings;
                let (not_ready, unreachable) =
                    (settings.default_not_ready_toleration, settings.default_unreachable_toleration);
                format!(
                    "/{node_cidr_mask_size} of {cluster_cidr}, lost after {node_monitor_grace_period:#}, \
                    pods leave after {not_ready:#}, {unreachable:#}"
                )
            }
        });
    }

    #[test]
    fn the_defaults_are_those_of_the_controllers() {
        let usual = Settings::default();
        let line = Line::try_parse_from(["up"]).unwrap().flags.settings("").unwrap();
        assert_eq!((line.cluster_cidr, line.node_cidr_mask_size), (usual.cluster_cidr, usual.node_cidr_mask_size));
        assert_eq!(line.node_monitor_grace_period, usual.node_monitor_grace_period);
        assert_eq!(line.default_not_ready_toleration, usual.default_not_ready_toleration);
        assert_eq!(line.default_unreachable_toleration, usual.default_unreachable_toleration);
    }

    #[test]
    fn flags_become_settings_or_say_why_not() {
        check("", expect!["/18 of 127.128.0.0/9, lost after 5s, pods leave after 10s, 5s"]);
        let kubernetes = "--cluster-cidr 10.0.0.0/8 --node-cidr-mask-size 24 --node-monitor-grace-period 40s \
            --default-not-ready-toleration-seconds 300 --default-unreachable-toleration-seconds 300";
        check(kubernetes, expect!["/24 of 10.0.0.0/8, lost after 40s, pods leave after 5m, 5m"]);
        check(
            "--node-cidr-mask-size 8",
            expect![[r#"
            --node-cidr-mask-size 8 is no part of --cluster-cidr 127.128.0.0/9
            hint: give the bits of a smaller range than the cluster's, at most 30
        "#]],
        );
        check(
            "--node-cidr-mask-size 31",
            expect![[r#"
            --node-cidr-mask-size 31 is no part of --cluster-cidr 127.128.0.0/9
            hint: give the bits of a smaller range than the cluster's, at most 30
        "#]],
        );
        check(
            "--node-monitor-grace-period 1s",
            expect![[r#"
            --node-monitor-grace-period 1s is too short: hosts give a sign of life every second
            hint: give at least 2s
        "#]],
        );
    }
}
