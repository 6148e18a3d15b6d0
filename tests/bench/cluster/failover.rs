//! How long nothing can be written when the leader is killed: both members that are left are asked to write, again and again.

use std::time::{Duration, Instant};

use anyhow::Result;
use coracle_tests::ControlPlane;
use futures::future::{Either, select};

use super::requests::Kill;
use super::writes::update;
use crate::api::{Connection, Target};

/// When a client gives up on an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills leaders, each time until a write is acknowledged that was sent after it.
pub(super) fn measure(plane: &mut ControlPlane, runs: usize) -> Result<Vec<Kill>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut kills = Vec::new();
    for _ in 0..runs {
        let leader = plane.leader();
        let left = (0..plane.count()).filter(|number| *number != leader);
        let targets = left.map(|number| Target::of(&plane.dir(number).join("kubeconfig")));
        let [one, other] = &targets.collect::<Result<Vec<_>>>()?[..] else { anyhow::bail!("two are left of three") };
        let clients =
            runtime.block_on(async { anyhow::Ok((Client::connect(one).await?, Client::connect(other).await?)) })?;
        let began = Instant::now();
        plane.kill(leader);
        runtime.block_on(async {
            match select(Box::pin(clients.0.write(began)), Box::pin(clients.1.write(began))).await {
                Either::Left(_) | Either::Right(_) => {}
            }
        });
        kills.push(Kill { began, felt_ms: began.elapsed().as_secs_f64() * 1e3 });
        plane.restart(leader);
        plane.settle();
    }
    Ok(kills)
}

/// A client of one member, connected before the leader is killed.
struct Client<'a> {
    target: &'a Target,
    connection: Option<Connection>,
}

impl<'a> Client<'a> {
    async fn connect(target: &'a Target) -> Result<Client<'a>> {
        Ok(Client { target, connection: Some(Connection::open(target).await?) })
    }

    /// Returns once a write is acknowledged.
    async fn write(mut self, began: Instant) {
        loop {
            let attempt = async {
                let mut connection = match self.connection.take() {
                    Some(connection) => connection,
                    None => Connection::open(self.target).await?,
                };
                update(&mut connection, began.elapsed().as_nanos() as u64).await
            };
            if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, attempt).await {
                return;
            }
        }
    }
}
