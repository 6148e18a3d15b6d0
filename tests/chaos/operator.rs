//! What the faults need to ask of members: large objects, of which no client and no watcher knows, and the time.

use coracle_api::kinds::{CONFIG_MAP, NAMESPACE as NAMESPACE_KIND};
use coracle_client::{DeleteOptions, Error, ListOptions, WriteOptions};
use coracle_tests::{ControlPlane, eventually};
use jiff::SignedDuration;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::clients::{NAMESPACE, Servers};

const LABEL: &str = "part=ballast";
const OBJECT_BYTES: usize = 900_000;

/// A client of each member, that waits for its answers.
pub(crate) struct Operator {
    servers: Servers,
    runtime: Runtime,
}

impl Operator {
    pub(crate) fn of(plane: &ControlPlane) -> Operator {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Operator { servers: Servers::of(plane), runtime }
    }

    /// Writes a large object through a member.
    pub(crate) fn write_ballast(&self, server: usize) -> Result<(), Error> {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "generateName": "ballast-", "labels": { "part": "ballast" } },
            "data": { "text": "x".repeat(OBJECT_BYTES) },
        });
        let options = WriteOptions::default();
        self.runtime.block_on(self.servers.0[server].create(&CONFIG_MAP, NAMESPACE, &object, &options)).map(drop)
    }

    /// Deletes all large objects, through one member or another.
    pub(crate) fn clear_ballast(&self) {
        let (list, options) = (ListOptions::labels(LABEL), DeleteOptions::default());
        eventually("the ballast is deleted", || {
            self.servers.0.iter().find_map(|server| {
                self.runtime.block_on(server.delete_collection(&CONFIG_MAP, NAMESPACE, &list, &options)).ok()
            })
        });
    }

    /// How many hours a member's clock is ahead of another's, as the age tells that each gives to a namespace. One that is not there so
    /// far, by a member's clock, is `<invalid>`.
    pub(crate) fn hours_ahead(&self, member: usize, other: usize) -> Option<i64> {
        let age = |server: usize| {
            let asked = self.servers.0[server].get_table(&NAMESPACE_KIND, None, "default");
            let table = self.runtime.block_on(asked).ok()?;
            let age = table["rows"][0]["cells"].as_array()?.last()?.as_str()?.to_owned();
            Some(age.parse::<SignedDuration>().ok())
        };
        let (age, right_age) = (age(member)?, age(other)??);
        Some(age.map_or(-1, |age| (age - right_age).as_hours()))
    }
}
