//! One compilation per component at a time, whoever wants it: a pod that waits, or somebody who looks ahead.
//!
//! What can't be compiled within its limits is not tried again for a while: to find that out costs all that the limits allow. Deliberately
//! absent: how components are compiled, and where the result is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::compile::host_error;
use crate::runtime::StartError;

/// So long is remembered what can't be compiled.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// So much of it.
const REFUSED_MAX: usize = 1024;

/// The compilations of a host.
#[derive(Default)]
pub(crate) struct Compilations {
    state: Mutex<State>,
    begun: AtomicU64,
}

#[derive(Default)]
struct State {
    /// By the component's digest.
    under_way: HashMap<String, UnderWay>,
    /// The oldest first.
    refused: VecDeque<Refused>,
}

#[derive(Clone)]
struct UnderWay {
    done: Shared<BoxFuture<'static, Result<(), StartError>>>,
    urgency: Urgency,
}

/// Tells a compilation that a pod waits for it.
pub(crate) type Urgency = CancellationToken;

struct Refused {
    digest: String,
    since: Instant,
    error: StartError,
}

impl Compilations {
    /// Begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Counts one that begins.
    pub(crate) fn count(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Compiles a component by `compile`, or waits for the compilation that is under way; it goes on when nobody waits any more.
    pub(crate) async fn run<F>(
        self: &Arc<Self>,
        digest: &str,
        is_urgent: bool,
        compile: impl FnOnce(Urgency) -> F,
    ) -> Result<(), StartError>
    where
        F: Future<Output = Result<(), StartError>> + Send + 'static,
    {
        let UnderWay { done, urgency } = {
            let mut state = self.state.lock();
            if let Some(error) = state.refusal(digest, Instant::now()) {
                return Err(error);
            }
            match state.under_way.get(digest) {
                Some(under_way) => under_way.clone(),
                None => {
                    let under_way = self.begin(digest, is_urgent, compile);
                    state.under_way.insert(digest.to_owned(), under_way.clone());
                    under_way
                }
            }
        };
        if is_urgent {
            urgency.cancel();
        }
        done.await
    }

    fn begin<F>(self: &Arc<Self>, digest: &str, is_urgent: bool, compile: impl FnOnce(Urgency) -> F) -> UnderWay
    where
        F: Future<Output = Result<(), StartError>> + Send + 'static,
    {
        let urgency = Urgency::new();
        if is_urgent {
            urgency.cancel();
        }
        let (this, digest, compiled) = (self.clone(), digest.to_owned(), compile(urgency.clone()));
        let task = tokio::spawn(async move {
            // A panic in there was reported by its hook.
            let compiled = tokio::spawn(compiled).await;
            let result = compiled.unwrap_or_else(|_| Err(host_error("compiling it broke off".to_owned())));
            this.end(digest, &result);
            result
        });
        let done = task.map(|ended| ended.unwrap_or_else(|_| Err(host_error("compiling it broke off".to_owned()))));
        UnderWay { done: done.boxed().shared(), urgency }
    }

    fn end(&self, digest: String, result: &Result<(), StartError>) {
        let mut state = self.state.lock();
        state.under_way.remove(&digest);
        if let Err(error @ (StartError::CompileLimit { .. } | StartError::CompileFailed { .. })) = result {
            if state.refused.len() == REFUSED_MAX {
                state.refused.pop_front();
            }
            state.refused.push_back(Refused { digest, since: Instant::now(), error: error.clone() });
        }
    }
}

impl State {
    fn refusal(&mut self, digest: &str, now: Instant) -> Option<StartError> {
        while self.refused.front().is_some_and(|refused| now.duration_since(refused.since) > REFUSED_FOR) {
            self.refused.pop_front();
        }
        self.refused.iter().find(|refused| refused.digest == digest).map(|refused| refused.error.clone())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_comes_later_waits_for_the_one_under_way_and_a_pod_makes_it_urgent() {
        let compilations = Arc::new(Compilations::default());
        let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let compile = |urgency: Urgency| {
            let (compilations, begun, may_end) = (compilations.clone(), begun.clone(), may_end.clone());
            async move {
                compilations.count();
                begun.notify_one();
                urgency.cancelled().await;
                may_end.notified().await;
                Ok(())
            }
        };
        let ahead = compilations.run("one", false, compile);
        let pod = async {
            begun.notified().await;
            // It is not done before it is urgent, and that is what a pod makes it.
            may_end.notify_one();
            compilations.run("one", true, compile).await
        };
        let (ahead, pod) = tokio::join!(ahead, pod);
        ahead.unwrap();
        pod.unwrap();
        assert_eq!(compilations.begun(), 1);
        assert!(compilations.state.lock().under_way.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_compiled_is_not_tried_again_for_a_while() {
        let compilations = Arc::new(Compilations::default());
        let run = async |digest: &str, error: Option<StartError>| {
            let counted = compilations.clone();
            let compile = |_| async move {
                counted.count();
                error.map_or(Ok(()), Err)
            };
            let result = compilations.run(digest, true, compile).await;
            (result.map_err(|error| error.reason()), compilations.begun())
        };
        let bomb = || Some(StartError::CompileLimit { limit: "1 s".to_owned() });
        assert_eq!(run("bomb", bomb()).await, (Err("InvalidImage"), 1));
        assert_eq!(run("bomb", bomb()).await, (Err("InvalidImage"), 1));
        assert_eq!(run("other", None).await, (Ok(()), 2));
        // What is this host's fault may work the next time.
        assert_eq!(run("full", Some(host_error("full".to_owned()))).await, (Err("CreateContainerError"), 3));
        assert_eq!(run("full", None).await, (Ok(()), 4));
        tokio::time::advance(REFUSED_FOR + Duration::from_secs(1)).await;
        assert_eq!(run("bomb", None).await, (Ok(()), 5));
    }
}
