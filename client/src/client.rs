//! The client: verbs over kinds, one HTTP/2 connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_api::discovery;
use coracle_api::kind::Kind;
use coracle_api::status::{self, Status};
use futures::{Stream, TryStreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;
use crate::options::{DeleteOptions, ListOptions, PatchKind, TableInclude, WriteOptions};
use crate::servers::Servers;
use crate::tls;

pub(crate) const JSON: &str = "application/json";
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// For everything that isn't a stream, unless said otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that vanished without closing is noticed after these two together.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one cluster; clones share the connection.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    request_timeout: Duration,
}

struct Inner {
    servers: Servers,
    http: reqwest::Client,
    tls: rustls::ClientConfig,
    config: Config,
}

/// A list of objects and the revision it is the state of.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The objects, each with `apiVersion` and `kind`.
    pub items: Vec<Value>,
    /// Watch from here.
    pub revision: u64,
    /// More follows; ask with [`ListOptions::continue_token`].
    pub continue_token: Option<String>,
}

/// A raw answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status code.
    pub code: u16,
    /// The `Content-Type`, or nothing.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client of the cluster that `config` names. Connects on first use.
    pub fn new(config: Config) -> Result<Client, Error> {
        let tls = tls::client_config(&config)?;
        Client::with_tls(config, tls)
    }

    /// The same where the caller says whom to trust and what to show, whatever `config` has.
    pub fn with_tls(config: Config, mut tls: rustls::ClientConfig) -> Result<Client, Error> {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .http2_initial_stream_window_size(1 << 20)
            .http2_initial_connection_window_size(16 << 20)
            .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::transport(&config.server, error))?;
        let servers = Servers::new(&config.server, &config.other_servers);
        Ok(Client { inner: Arc::new(Inner { servers, http, tls, config }), request_timeout: REQUEST_TIMEOUT })
    }

    /// The same with another limit on how long a request may take that is no stream. When it is over, it is the next server's turn.
    #[must_use]
    pub fn with_request_timeout(&self, request_timeout: Duration) -> Client {
        Client { inner: self.inner.clone(), request_timeout }
    }

    /// What the client was made from.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The servers of the cluster from now on, `https://HOST:PORT`; none changes nothing. The one that is asked now is asked on, if it
    /// is among them.
    pub fn set_servers(&self, servers: &[String]) {
        self.inner.servers.replace(servers);
    }

    /// The objects of a kind in `namespace`, or everywhere.
    pub async fn list(&self, kind: &Kind, namespace: Option<&str>, options: &ListOptions) -> Result<List, Error> {
        let path = collection_path(kind, namespace);
        let mut answer: Value = self.send(Method::GET, &path, &options.query(), None, JSON).await?;
        let items = match answer["items"].take() {
            Value::Array(items) => items,
            _ => {
                return Err(Error::Answer {
                    request: format!("GET {path}"),
                    reason: "a list without items".to_owned(),
                });
            }
        };
        let metadata = &answer["metadata"];
        let revision = metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let continue_token = metadata["continue"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
        let items = items.into_iter().map(|item| with_type(item, kind)).collect();
        Ok(List { items, revision, continue_token })
    }

    /// A `meta.k8s.io/v1` Table of the objects of a kind.
    pub async fn list_table(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        options: &ListOptions,
        include: TableInclude,
    ) -> Result<Value, Error> {
        let mut query = options.query();
        query.push(("includeObject", format!("{include:?}")));
        self.send(Method::GET, &collection_path(kind, namespace), &query, None, TABLE).await
    }

    /// A Table of one object.
    pub async fn get_table(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Value, Error> {
        self.send(Method::GET, &self.object_path(kind, namespace, name), &[], None, TABLE).await
    }

    /// One object.
    pub async fn get(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Value, Error> {
        self.send(Method::GET, &self.object_path(kind, namespace, name), &[], None, JSON).await
    }

    /// Creates an object and returns it as stored.
    pub async fn create(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        object: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Error> {
        let path = collection_path(kind, self.namespace_of(kind, namespace));
        self.send(Method::POST, &path, &options.query(), Some((JSON, encode(object))), JSON).await
    }

    /// Replaces an object (the name is its `metadata.name`) and returns it as stored.
    pub async fn update(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        object: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Error> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = with_subresource(self.object_path(kind, namespace, name), options.subresource);
        self.send(Method::PUT, &path, &options.query(), Some((JSON, encode(object))), JSON).await
    }

    /// Replaces an object's status.
    pub async fn update_status(&self, kind: &Kind, namespace: Option<&str>, object: &Value) -> Result<Value, Error> {
        let options = WriteOptions { subresource: Some("status"), ..WriteOptions::default() };
        self.update(kind, namespace, object, &options).await
    }

    /// Patches an object and returns it as stored.
    pub async fn patch(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch_kind: PatchKind,
        patch: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Error> {
        let path = with_subresource(self.object_path(kind, namespace, name), options.subresource);
        self.send(Method::PATCH, &path, &options.query(), Some((patch_kind.content_type(), encode(patch))), JSON).await
    }

    /// Deletes an object; returns it as it last was, or the server's Status.
    pub async fn delete(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Value, Error> {
        let path = self.object_path(kind, namespace, name);
        self.send(Method::DELETE, &path, &[], Some((JSON, encode(&options.body()))), JSON).await
    }

    /// Deletes every object of a kind in a namespace that the selectors match.
    pub async fn delete_collection(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Value, Error> {
        let path = collection_path(kind, self.namespace_of(kind, namespace));
        self.send(Method::DELETE, &path, &list.query(), Some((JSON, encode(&options.body()))), JSON).await
    }

    /// Every kind that the server serves, built in or not, in the order in which a name is looked up.
    pub async fn kinds(&self) -> Result<Vec<Kind>, Error> {
        let mut kinds = Vec::new();
        for path in ["/api", "/apis"] {
            let list = self.send(Method::GET, path, &[], None, discovery::AGGREGATED).await?;
            kinds.extend(discovery::kinds(&list));
        }
        Ok(kinds)
    }

    /// The server's `/version`.
    pub async fn version(&self) -> Result<Value, Error> {
        self.send(Method::GET, "/version", &[], None, JSON).await
    }

    /// Any path, any answer: only a failure to get one is an error.
    pub async fn raw(&self, path: &str) -> Result<Reply, Error> {
        let request = |server: &str| self.request(server, Method::GET, path, &[], "*/*").timeout(self.request_timeout);
        let response = self.deliver(request).await?;
        let code = response.status().as_u16();
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = response.bytes().await.map_err(|error| self.transport(error))?;
        Ok(Reply { code, content_type, body })
    }

    /// Sends and reads a whole answer.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&'static str, String)],
        body: Option<(&'static str, Vec<u8>)>,
        accept: &'static str,
    ) -> Result<T, Error> {
        let body = body.map(|(content_type, bytes)| (content_type, Bytes::from(bytes)));
        let request = |server: &str| {
            let request = self.request(server, method.clone(), path, query, accept).timeout(self.request_timeout);
            match &body {
                Some((content_type, bytes)) => request.header(CONTENT_TYPE, *content_type).body(bytes.clone()),
                None => request,
            }
        };
        let response = self.deliver(request).await?;
        let code = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| self.transport(error))?;
        if code >= 400 {
            return Err(status_error(code, &bytes));
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Answer { request: format!("{method} {path}"), reason: error.to_string() })
    }

    /// Reads what is at a path that is no kind's.
    pub async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(Method::GET, path, &[], None, JSON).await
    }

    /// Removes what is at a path that is no kind's, and reads the answer.
    pub async fn remove<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(Method::DELETE, path, &[], None, JSON).await
    }

    /// Sends something to a path that is no kind's, and reads the answer.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let bytes = serde_json::to_vec(body).expect("requests hold nothing that JSON cannot");
        self.send(Method::POST, path, &[], Some((JSON, bytes)), JSON).await
    }

    /// The same for an answer that comes piece by piece: no limit on how long that lasts. An error ends it.
    pub async fn post_stream(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + Unpin + 'static + use<>, Error> {
        let bytes = Bytes::from(encode(body));
        let request = |server: &str| {
            self.request(server, Method::POST, path, &[], "*/*").header(CONTENT_TYPE, JSON).body(bytes.clone())
        };
        let response = self.begin(request).await?;
        let server = self.server();
        Ok(Box::pin(response.bytes_stream().map_err(move |error| Error::transport(&server, error))))
    }

    /// Opens a stream: no limit on how long it lasts.
    pub(crate) async fn open(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        accept: &'static str,
    ) -> Result<reqwest::Response, Error> {
        self.begin(|server: &str| self.request(server, Method::GET, path, query, accept)).await
    }

    /// Sends, and reads the answer's head; the rest if it is a failure.
    async fn begin(&self, request: impl Fn(&str) -> reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let response = self.deliver(request).await?;
        let code = response.status().as_u16();
        if code >= 400 {
            let bytes = response.bytes().await.map_err(|error| self.transport(error))?;
            return Err(status_error(code, &bytes));
        }
        Ok(response)
    }

    /// Sends to the server whose turn it is, and on to the others, once each, for as long as one can't be reached or has no leader to turn
    /// to: then nothing was done.
    pub(crate) async fn deliver(
        &self,
        request: impl Fn(&str) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Error> {
        let mut servers = self.inner.servers.in_turn().into_iter().peekable();
        let mut tried = Vec::new();
        while let Some(server) = servers.next() {
            let error = match request(&server).send().await {
                Ok(response) if lacks_leader(&response) && (servers.peek().is_some() || !tried.is_empty()) => {
                    let code = response.status().as_u16();
                    status_error(code, &response.bytes().await.unwrap_or_default())
                }
                Ok(response) => return Ok(response),
                Err(error) if error.is_connect() => Error::transport(&server, error),
                Err(error) => {
                    self.inner.servers.pass(&server);
                    return Err(Error::transport(&server, error));
                }
            };
            self.inner.servers.pass(&server);
            tried.push((server.to_string(), error));
        }
        Err(Error::none_of(tried))
    }

    fn request(
        &self,
        server: &str,
        method: Method,
        path: &str,
        query: &[(&'static str, String)],
        accept: &'static str,
    ) -> reqwest::RequestBuilder {
        self.request_by(&self.inner.http, server, method, path, query).header(ACCEPT, accept)
    }

    /// A request by way of another HTTP client.
    pub(crate) fn request_by(
        &self,
        http: &reqwest::Client,
        server: &str,
        method: Method,
        path: &str,
        query: &[(&'static str, String)],
    ) -> reqwest::RequestBuilder {
        let request = http.request(method, with_query(format!("{server}{path}"), query));
        match &self.inner.config.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// For a request on an HTTP/1.1 connection of its own, which can become something else.
    pub(crate) fn upgradable(&self) -> Result<reqwest::Client, Error> {
        let mut tls = self.inner.tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| self.transport(error))
    }

    /// The server that is asked now.
    pub(crate) fn server(&self) -> Arc<str> {
        self.inner.servers.current()
    }

    /// A failure to reach the server; the next request goes to the next one.
    pub(crate) fn transport(&self, error: reqwest::Error) -> Error {
        let server = self.server();
        // Of many requests that failed together, one moves on.
        if error.url().is_some_and(|url| url.as_str().starts_with(&*server)) {
            self.inner.servers.pass(&server);
        }
        Error::transport(&server, error)
    }

    fn namespace_of<'a>(&'a self, kind: &Kind, namespace: Option<&'a str>) -> Option<&'a str> {
        kind.namespaced.then(|| namespace.unwrap_or(&self.inner.config.namespace))
    }

    fn object_path(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{name}", collection_path(kind, self.namespace_of(kind, namespace)))
    }
}

/// Does a server say that it did nothing, and that another one may?
fn lacks_leader(response: &reqwest::Response) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE && response.headers().contains_key(status::NOT_LEADER)
}

pub(crate) fn collection_path(kind: &Kind, namespace: Option<&str>) -> String {
    let base = match kind.group {
        "" => format!("/api/{}", kind.version),
        group => format!("/apis/{group}/{}", kind.version),
    };
    match namespace {
        Some(namespace) if kind.namespaced => format!("{base}/namespaces/{namespace}/{}", kind.plural),
        _ => format!("{base}/{}", kind.plural),
    }
}

/// Items of a list leave out what the list's own kind says.
pub(crate) fn with_type(mut item: Value, kind: &Kind) -> Value {
    if let Value::Object(fields) = &mut item {
        fields.entry("apiVersion").or_insert_with(|| kind.api_version().to_string().into());
        fields.entry("kind").or_insert_with(|| kind.kind.into());
    }
    item
}

fn with_subresource(path: String, subresource: Option<&str>) -> String {
    match subresource {
        Some(subresource) => format!("{path}/{subresource}"),
        None => path,
    }
}

fn with_query(mut url: String, query: &[(&'static str, String)]) -> String {
    for (index, (name, value)) in query.iter().enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        url.push_str(name);
        url.push('=');
        escape(value, &mut url);
    }
    url
}

fn escape(value: &str, out: &mut String) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string succeeds");
        }
    }
}

fn encode(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value is encodable")
}

/// The server's Status; an answer from something else becomes one.
pub(crate) fn status_error(code: u16, body: &[u8]) -> Error {
    let status = serde_json::from_slice::<Status>(body).ok().filter(|status| status.code != 0).unwrap_or_else(|| {
        let text = String::from_utf8_lossy(&body[..body.len().min(512)]).trim().to_owned();
        let mut status = status::internal(format!("HTTP {code}: {text}"));
        status.code = code;
        status
    });
    Error::Status(Box::new(status))
}
