//! Runs an instance that answers more than one request, from its first to its last.
//!
//! Deliberately absent: stopping one request of several. The guest can't be told, so the instance ends with the others.

use std::fmt::Debug;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_net::RequestBody;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{HeaderValue, Request, header, uri};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use wasmtime::component::Accessor;
use wasmtime::{AsContextMut as _, Store, Trap};
use wasmtime_wasi_http::p2::bindings as http_02;
use wasmtime_wasi_http::p3::{self, bindings as http_03};
use wasmtime_wasi_http::{Error as HttpError, FieldMap, WasiHttpView as _};

use super::background::measured;
use super::component::{HandlerPre, Pre};
use super::failure::{Failure, one_line};
use super::guest::{Guest, begin_slice, new_store};
use super::handler::{HandlerContainer, Origin, PoolPermit};
use super::instances::{Call, Instance, Instances, Job, Reply};

/// What a guest may take to end what it does beside its answers, once it gets no more requests.
const FINISH_MAX: Duration = Duration::from_secs(30);

/// An instance's life: however it ends, whoever waits for it is told.
pub(super) struct Life {
    container: Arc<HandlerContainer>,
    pub(super) instance: Arc<Instance>,
    jobs: mpsc::UnboundedReceiver<Job>,
    pre: Arc<Pre>,
    _slots: PoolPermit,
}

impl Life {
    pub(super) fn begin(
        container: Arc<HandlerContainer>,
        instances: &Instances,
        pre: Arc<Pre>,
        slots: PoolPermit,
    ) -> Life {
        let (instance, jobs) = instances.start();
        Life { container, instance, jobs, pre, _slots: slots }
    }

    /// Until it gets no more requests, or fails.
    pub(super) async fn run(mut self) {
        let container = self.container.clone();
        let Some(instances) = &container.instances else { return };
        let (engine, steering) = (&container.prepared.traits.wasm.engine, self.instance.steering.clone());
        let mut store = new_store(engine, container.surroundings.clone(), steering.clone(), None);
        let result = tokio::select! {
            biased;
            result = self.answer(&container, instances, &mut store) => result,
            () = container.killed.cancelled() => Err(Trap::Interrupt.into()),
        };
        if let Err(error) = result {
            let failure = Failure::of(&error);
            container.note_failure(&failure, Origin::Client);
            steering.failed(failure);
        }
    }

    async fn answer(
        &mut self,
        container: &HandlerContainer,
        instances: &Instances,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<()> {
        let steering = self.instance.steering.clone();
        let pre = self.pre.clone();
        match &*pre {
            Pre::Handler(HandlerPre::V02(pre)) => {
                let began = {
                    let instantiated = std::pin::pin!(pre.instantiate_async(&mut *store));
                    measured(instantiated, &steering, &container.account).await.0
                };
                match began {
                    Ok(proxy) => self.one_by_one(container, instances, store, &proxy).await,
                    Err(error) => Err(error),
                }
            }
            Pre::Handler(HandlerPre::V03(pre)) => {
                let all = std::pin::pin!(async {
                    let service = pre.instantiate_async(&mut *store).await?;
                    let answer_all =
                        async |accessor: &Accessor<Guest>| self.at_once(container, instances, accessor, &service).await;
                    store.run_concurrent(answer_all).await?
                });
                measured(all, &steering, &container.account).await.0
            }
            Pre::Command(_) => Err(wasmtime::Error::msg("the component is not a handler")),
        }
    }

    async fn one_by_one(
        &mut self,
        container: &HandlerContainer,
        instances: &Instances,
        store: &mut Store<Guest>,
        proxy: &http_02::Proxy,
    ) -> wasmtime::Result<()> {
        while let Some(Job { call, place }) = instances.next(&self.instance, &mut self.jobs).await {
            store.data_mut().answers_until(call.deadline);
            begin_slice(store.as_context_mut());
            let (instance, asked) = (self.instance.clone(), place.clone());
            let called = std::pin::pin!(call_02(store, proxy, *call, move |reply| instance.reply(&asked, reply)));
            let (result, cpu) = measured(called, &self.instance.steering, &container.account).await;
            result?;
            container.succeeded(cpu);
            self.instance.forget(&place);
        }
        Ok(())
    }

    async fn at_once(
        &mut self,
        container: &HandlerContainer,
        instances: &Instances,
        accessor: &Accessor<Guest>,
        service: &http_03::Service,
    ) -> wasmtime::Result<()> {
        let mut answering = FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !answering.is_empty() {
            tokio::select! {
                biased;
                Some(answered) = answering.next() => {
                    answered?;
                    container.succeeded(self.instance.steering.take_longest_poll());
                }
                job = instances.next(&self.instance, &mut self.jobs), if is_open => match job {
                    Some(job) => answering.push(call_03(accessor, service, &self.instance, job)),
                    None => is_open = false,
                },
            }
        }
        drop(answering);
        let finished = poll_fn(|context| accessor.poll_no_interesting_tasks(context));
        let _ = tokio::time::timeout(FINISH_MAX, finished).await;
        Ok(())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(instances) = &self.container.instances {
            instances.end(&self.instance, &mut self.jobs);
        }
    }
}

/// Asks a handler of 0.2, which has answered before this returns, if it does.
pub(super) async fn call_02(
    store: &mut Store<Guest>,
    proxy: &http_02::Proxy,
    call: Call,
    answer: impl FnOnce(Reply) + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    use http_02::http::types::{ErrorCode, Scheme};
    let is_https = call.context.scheme == uri::Scheme::HTTPS;
    let request = to_guest(call.request);
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(if is_https { Scheme::Https } else { Scheme::Http }, request)?;
    let outparam = http.new_response_outparam_from_callback(move |answered| {
        answer(match answered {
            Ok(response) => Reply::Response(response),
            Err(ErrorCode::InternalError(Some(reason))) => Reply::Error(one_line(&reason)),
            Err(code) => Reply::Error(code_text(&code)),
        });
    })?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, outparam).await
}

/// Asks a handler of 0.3, among others that it answers.
async fn call_03(
    accessor: &Accessor<Guest>,
    service: &http_03::Service,
    instance: &Instance,
    job: Job,
) -> wasmtime::Result<()> {
    use http_03::http::types::ErrorCode;
    let Job { call, place } = job;
    let (scheme, deadline) = (call.context.scheme, call.deadline);
    let (head, body) = to_guest(call.request).into_parts();
    let host = || head.headers.get(header::HOST).and_then(|host| uri::Authority::try_from(host.as_bytes()).ok());
    let authority = head.uri.authority().cloned().or_else(host);
    let path = head.uri.path_and_query().cloned();
    let (request, sent) = accessor.with(|mut access| {
        begin_slice(access.as_context_mut());
        access.get().answers_until(deadline);
        let http = access.get().http();
        let headers = FieldMap::new_immutable(http.hooks, head.headers);
        let (request, sent) = p3::Request::new(head.method, Some(scheme), authority, path, headers, None, body);
        http.table.push(request).map(|request| (request, sent))
    })?;
    let reply = match service.wasi_http_handler().call_handle(accessor, request).await? {
        Ok(response) => accessor.with(|mut access| {
            let response = access.get().http().table.delete(response)?;
            response.into_http(access, sent).map(Reply::Response)
        })?,
        Err(ErrorCode::InternalError(Some(reason))) => Reply::Error(one_line(&reason)),
        Err(code) => Reply::Error(code_text(&code)),
    };
    instance.reply(&place, reply);
    Ok(())
}

/// A request as guests take them.
fn to_guest(request: Request<RequestBody>) -> Request<impl Body<Data = Bytes, Error = HttpError> + Send + 'static> {
    let mut request = request.map(|body| body.map_err(|error| HttpError::InternalError(Some(error.to_string()))));
    if request.uri().authority().is_none() && !request.headers().contains_key(header::HOST) {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    }
    request
}

fn code_text(code: &impl Debug) -> String {
    one_line(format!("{code:?}").trim_start_matches("ErrorCode::"))
}
