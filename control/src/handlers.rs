//! From a request to its answer: who asks, whether they may, and the verb that does it, one verb a file.
//!
//! Deliberately absent: deciding anything about objects, which is `objects`' business.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_api::custom::CustomKind;
use coracle_api::decode::{self, ContentType};
use coracle_api::kind::{Kind, Subresource};
use coracle_api::kinds::{NAMESPACE, NODE};
use coracle_api::selector::FieldSelector;
use coracle_api::status::{self, Status};
use coracle_api::{object, schema};
use coracle_store::Record;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Objects;
use crate::audit::{Annotations, Audit, ObjectReference};
use crate::authentication::User;
use crate::authorizer::{Attributes, Subject, refusal};
use crate::cluster_files::ClusterFiles;
use crate::custom_kinds::{Index, present};
use crate::identities::Identities;
use crate::joining::{Failures, Joining};
use crate::metrics::Metrics;
use crate::objects::{Author, FieldValidation, WriteOptions, Written};
use crate::request::{self, Address, Query, Target, Virtual};
use crate::respond;
use crate::snapshots::Snapshots;
use crate::tokens::{self, Tokens};

mod access_review;
mod batch;
mod binding;
mod certificate;
mod cluster_snapshot;
mod connect;
mod create;
mod delete;
mod discovery;
mod eviction;
mod get;
mod health;
mod host;
pub(crate) use host::chain;
mod join;
pub(crate) mod key_rotation;
mod list;
mod log;
mod members;
mod openapi;
mod patch;
mod selection;
mod token;
pub(crate) mod token_review;
mod update;
pub(crate) mod usage;
mod watch;

/// The longest body.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What all requests share.
pub(crate) struct App {
    pub(crate) objects: Objects,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) hosts: reqwest::Client,
    /// Reaches the other members in this one's name.
    pub(crate) members: reqwest::Client,
    pub(crate) metrics: Metrics,
    pub(crate) snapshots: Snapshots,
    pub(crate) frames: watch::Frames,
    pub(crate) audit: Option<Audit>,
    /// Held by the eviction whose turn it is to spend from a disruption budget.
    pub(crate) evicting: tokio::sync::Mutex<()>,
    pub(crate) cluster_files: Arc<ClusterFiles>,
    pub(crate) joining: Joining,
    pub(crate) identities: Identities,
    pub(crate) failed_joins: Failures,
    /// No request begins any more; watches and other streams end.
    pub(crate) shutdown: CancellationToken,
    /// A request that has no answer yet holds a token of it.
    pub(crate) unanswered: TaskTracker,
    /// After `shutdown`, and the answers that waited for consensus: this member takes no part in it any more.
    pub(crate) answered: CancellationToken,
}

/// How the server itself asks others.
pub(crate) struct Clients {
    pub(crate) hosts: reqwest::Client,
    pub(crate) members: reqwest::Client,
}

impl App {
    #[expect(clippy::too_many_arguments, reason = "what a server is made of, each once")]
    pub(crate) fn new(
        objects: Objects,
        tokens: Arc<Tokens>,
        clients: Clients,
        audit: Option<Audit>,
        cluster_files: ClusterFiles,
        joining: Joining,
        identities: Identities,
        shutdown: CancellationToken,
    ) -> App {
        App {
            objects,
            tokens,
            hosts: clients.hosts,
            members: clients.members,
            metrics: Metrics::new(),
            snapshots: Snapshots::default(),
            frames: watch::Frames::default(),
            audit,
            evicting: tokio::sync::Mutex::default(),
            cluster_files: Arc::new(cluster_files),
            joining,
            identities,
            failed_joins: Failures::default(),
            shutdown,
            unanswered: TaskTracker::new(),
            answered: CancellationToken::new(),
        }
    }

    /// The kinds that users define, as of now.
    pub(crate) fn custom_kinds(&self) -> Arc<Index> {
        self.objects.custom_kinds(&self.objects.store().snapshot())
    }

    /// A stored record as those see it who ask for objects of this kind.
    fn open(&self, custom: Option<&CustomKind>, record: &Arc<Record>) -> Result<Arc<Record>, Status> {
        self.objects.open(record).map(|record| present(custom, record))
    }

    /// Refuses what the user may not do.
    pub(crate) fn authorize(&self, attributes: &Attributes<'_>, kind: Option<&Kind>) -> Result<(), Status> {
        let snapshot = self.objects.store().snapshot();
        if self.objects.authorizer().allows(attributes, &snapshot) { Ok(()) } else { Err(refusal(attributes, kind)) }
    }

    /// The same. A host hears of its pods from any member, so that this one may not have heard yet of what gives it the right: before it is
    /// refused, all that was acknowledged is looked at.
    async fn authorize_for_sure(
        &self,
        user: &User,
        verb: &str,
        address: &Address,
        fields: Option<&FieldSelector>,
    ) -> Result<(), Status> {
        match self.authorize_address(user, verb, address, fields) {
            Err(_) if user.node().is_some() && self.objects.store().read().await.is_ok() => {
                self.authorize_address(user, verb, address, fields)
            }
            decided => decided,
        }
    }

    /// Refuses what the user may not do to an object, a part of one, or a collection.
    fn authorize_address(
        &self,
        user: &User,
        verb: &str,
        address: &Address,
        fields: Option<&FieldSelector>,
    ) -> Result<(), Status> {
        // A Namespace is in itself, so that those with a role there may read it, as in Kubernetes.
        let itself = address.name.as_deref().filter(|_| *address.kind == NAMESPACE && verb != "create");
        let subject = Subject::Resource {
            group: address.kind.group,
            resource: address.kind.plural,
            subresource: address.subresource.as_deref(),
            namespace: address.namespace().or(itself),
            name: address.name.as_deref(),
            fields,
        };
        self.authorize(&Attributes { user, verb, subject }, Some(address.kind))
    }
}

/// A request, its head read.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) user: User,
    /// Whom the connection names.
    pub(crate) connected: User,
    /// What the connection shows for it.
    pub(crate) certificate: Option<Arc<CertificateDer<'static>>>,
    /// Who really asks, where the user is impersonated.
    pub(crate) impersonator: Option<User>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// Where the request came from.
    pub(crate) peer: Option<SocketAddr>,
    /// The connection itself, where the request asks for another protocol on it.
    pub(crate) upgrade: Option<OnUpgrade>,
    /// The name of the object that the request makes, for the audit log.
    pub(crate) created: OnceLock<String>,
    /// What admission wants to be in the audit log.
    pub(crate) annotations: Arc<Annotations>,
    /// What was sent, once it is read: another member may have to answer it.
    pub(crate) body: Mutex<Option<Bytes>>,
}

/// The verb and resource a request is counted under.
pub(crate) struct Labels {
    pub(crate) verb: &'static str,
    pub(crate) resource: Cow<'static, str>,
}

impl Call {
    /// What the path names, and how the request is counted.
    pub(crate) fn target(&self) -> (Target, Labels) {
        let target = request::parse_path(&self.path, &self.app.custom_kinds());
        let labels = match &target {
            Target::Objects(address) => {
                let verb = request::verb(&self.method, address, &self.query).unwrap_or("other");
                let resource = match address.subresource.as_deref() {
                    Some(
                        sub @ ("status" | "scale" | "log" | "binding" | "eviction" | "finalize" | "token" | "approval"
                        | "attach" | "exec" | "portforward"),
                    ) => format!("{}/{sub}", address.kind.resource()).into(),
                    _ => address.kind.resource(),
                };
                Labels { verb, resource }
            }
            Target::Virtual { found, .. } => {
                Labels { verb: request::virtual_verb(&self.method), resource: found.names().2.into() }
            }
            Target::Members(name) => {
                let verb = if name.is_none() { "list" } else { "delete" };
                Labels { verb, resource: "members".into() }
            }
            Target::Join => Labels { verb: "create", resource: "joins".into() },
            Target::Certificate => Labels { verb: "create", resource: "certificates".into() },
            Target::NodeProxy { .. } => Labels { verb: "get", resource: "nodes/proxy".into() },
            _ => Labels { verb: "path", resource: Cow::default() },
        };
        (target, labels)
    }

    /// What the request is about, where that is an object or a collection.
    pub(crate) fn object_reference<'a>(&'a self, target: &'a Target) -> Option<ObjectReference<'a>> {
        let created = self.created.get().map(String::as_str);
        let is_there = |namespace: &&str| !namespace.is_empty();
        Some(match target {
            Target::Objects(address) => ObjectReference {
                resource: address.kind.plural,
                namespace: address.namespace().filter(is_there),
                name: address.name.as_deref().or(created),
                api_group: address.kind.group,
                api_version: address.kind.version,
                subresource: address.subresource.as_deref(),
            },
            Target::Virtual { found, namespace } => {
                let (api_group, api_version, resource, _) = found.names();
                let namespace = namespace.as_deref().filter(is_there);
                ObjectReference { resource, namespace, api_group, api_version, ..ObjectReference::default() }
            }
            Target::Join => ObjectReference {
                resource: NODE.plural,
                name: created,
                api_version: NODE.version,
                ..ObjectReference::default()
            },
            _ => return None,
        })
    }

    /// Answers the request.
    pub(crate) async fn answer(&self, target: &Target, body: Body) -> Response {
        let result = match target {
            Target::Objects(address) => Box::pin(self.objects(address, body)).await,
            Target::Virtual { found, namespace } => {
                Box::pin(self.virtual_resource(*found, namespace.as_deref(), body)).await
            }
            Target::NodeProxy { .. } if self.method != Method::GET => Err(status::method_not_allowed()),
            Target::NodeProxy { node, path } => Box::pin(host::proxy(self, node, path)).await,
            Target::Usage(asked) => Box::pin(usage::usage(self, asked)).await,
            Target::Join => Box::pin(join::join(self, body)).await,
            Target::Certificate => certificate::renew(self, body).await,
            other => Box::pin(self.path(other)).await,
        };
        result.unwrap_or_else(|status| respond::failure(&status))
    }

    async fn path(&self, target: &Target) -> Result<Response, Status> {
        let verb = request::path_verb(&self.method);
        self.app.authorize(&Attributes { user: &self.user, verb: &verb, subject: Subject::Path(&self.path) }, None)?;
        match target {
            Target::Unknown => return Err(status::unknown_resource()),
            Target::Members(name) => return members::members(self, name.as_deref()).await,
            _ if verb != "get" => return Err(status::method_not_allowed()),
            _ => {}
        }
        match target {
            Target::Root => Ok(discovery::root(&self.app.custom_kinds())),
            Target::Version => Ok(health::version()),
            Target::Health => health::health(&self.app, &self.path, self.query.flag("verbose")).await,
            Target::Metrics => Ok(health::metrics(&self.app)),
            Target::CoreVersions => discovery::core_versions(&self.headers),
            Target::Groups => discovery::groups(&self.headers, &self.app.custom_kinds()),
            Target::Group(group) => discovery::group(group, &self.app.custom_kinds()),
            Target::Resources { group, version } => discovery::resources(group, version, &self.app.custom_kinds()),
            Target::TokenKeys => Ok(respond::value(StatusCode::OK, &self.app.tokens.key_set())),
            Target::TokenIssuer => Ok(respond::value(StatusCode::OK, &tokens::configuration())),
            Target::OpenApiSecond => Ok(openapi::second(&self.headers)),
            Target::OpenApiIndex => Ok(openapi::index(&self.app.custom_kinds())),
            Target::OpenApi { group, version } => {
                openapi::group(group, version, &self.headers, &self.app.custom_kinds())
            }
            Target::Members(_)
            | Target::Join
            | Target::Certificate
            | Target::Unknown
            | Target::Virtual { .. }
            | Target::NodeProxy { .. }
            | Target::Usage(_)
            | Target::Objects(_) => Err(status::unknown_resource()),
        }
    }

    async fn virtual_resource(&self, found: Virtual, namespace: Option<&str>, body: Body) -> Result<Response, Status> {
        let (group, _, resource, kind) = found.names();
        let subject = Subject::Resource { group, resource, subresource: None, namespace, name: None, fields: None };
        let verb = request::virtual_verb(&self.method);
        self.app.authorize(&Attributes { user: &self.user, verb, subject }, None)?;
        if self.method != Method::POST {
            return Err(status::method_not_allowed());
        }
        let body = self.read(body).await?;
        let (mut body, duplicates) = self.decode(&body, kind)?;
        if found == Virtual::Batch {
            return batch::run(self, body).await;
        }
        let options = self.write_options()?;
        let warnings = self.check_fields(found.definition().as_deref(), kind, &mut body, &duplicates, &options)?;
        let untried = || {
            let message = format!("dryRun: a {kind} is carried out or not, it cannot be tried: leave dryRun out");
            if options.dry_run { Err(status::bad_request(message)) } else { Ok(()) }
        };
        let mut response = match found {
            Virtual::Batch => unreachable!("invariant: answered above"),
            Virtual::SecretKeyRotation => {
                untried()?;
                key_rotation::run(self).await?
            }
            Virtual::ClusterSnapshot => {
                untried()?;
                cluster_snapshot::run(self).await?
            }
            Virtual::TokenReview => token_review::token(self, body)?,
            Virtual::SelfSubjectReview => token_review::oneself(self),
            Virtual::SelfSubjectAccessReview => access_review::own_access(self, body)?,
            Virtual::SelfSubjectRulesReview => access_review::own_rules(self, body)?,
            Virtual::SubjectAccessReview | Virtual::LocalSubjectAccessReview => {
                access_review::access_of(self, kind, namespace, body)?
            }
        };
        respond::warn(&mut response, &warnings);
        Ok(response)
    }

    /// Checks the fields of a body that asks for something and is not stored, as those of objects are checked, and takes out unknown ones.
    /// Without a definition there are none but what every object has.
    fn check_fields(
        &self,
        definition: Option<&str>,
        kind: &str,
        body: &mut Value,
        duplicates: &[String],
        options: &WriteOptions,
    ) -> Result<Vec<String>, Status> {
        let unfit =
            |body: &Value, error: &str| decode::unfit(object::api_version(body), object::kind(body), kind, error);
        let found = object::kind(body);
        if !["", kind].contains(&found) {
            let message = format!("the kind in the data ({found}) does not match the expected kind ({kind})");
            return Err(status::bad_request(message));
        }
        let unknown: Vec<String> = match definition.and_then(schema::definition) {
            Some(definition) => {
                let problems = schema::check(definition, body);
                if let Some(wrong) = problems.iter().find(|problem| problem.is_refused()) {
                    return Err(unfit(body, &wrong.to_string()));
                }
                schema::prune(definition, body);
                problems.into_iter().filter(schema::Problem::is_unknown).map(|problem| problem.path).collect()
            }
            None => {
                let fields = body.as_object().into_iter().flat_map(serde_json::Map::keys);
                fields.filter(|name| !["apiVersion", "kind", "metadata"].contains(&name.as_str())).cloned().collect()
            }
        };
        match options.field_validation {
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Warn => Ok(decode::complaints(&unknown, duplicates)),
            FieldValidation::Strict => {
                let error = decode::strict_error(&unknown, duplicates);
                error.map_or(Ok(Vec::new()), |error| Err(unfit(body, &error)))
            }
        }
    }

    async fn objects(&self, address: &Address, body: Body) -> Result<Response, Status> {
        let verb = request::verb(&self.method, address, &self.query).ok_or_else(status::method_not_allowed)?;
        let fields = match verb {
            "list" | "watch" | "deletecollection" => Some(self.query.fields(address.kind)?),
            _ => None,
        };
        self.app.authorize_for_sure(&self.user, verb, address, fields.as_ref()).await?;
        if !["get", "list", "watch"].contains(&verb) && !address.is_stream() {
            // Who can't read the answer to a write must not have written.
            respond::negotiate(&self.headers)?;
            self.include()?;
        }
        let mut response = match address.subresource {
            Some(_) => self.subresource(verb, address, body).await?,
            None => self.whole(verb, address, body).await?,
        };
        if let Some(deprecation) = address.custom.as_ref().and_then(|custom| custom.deprecation.clone()) {
            respond::warn(&mut response, &[deprecation]);
        }
        Ok(response)
    }

    async fn whole(&self, verb: &str, address: &Address, body: Body) -> Result<Response, Status> {
        match verb {
            "get" => get::object(self, address).await,
            "list" => list::list(self, address).await,
            "watch" => watch::watch(self, address).await,
            "create" => create::create(self, address, self.read(body).await?).await,
            "update" => update::update(self, address, self.read(body).await?).await,
            "patch" => patch::patch(self, address, self.read(body).await?).await,
            "delete" => delete::delete(self, address, self.read(body).await?).await,
            "deletecollection" => delete::collection(self, address, self.read(body).await?).await,
            _ => Err(status::method_not_allowed()),
        }
    }

    async fn subresource(&self, verb: &str, address: &Address, body: Body) -> Result<Response, Status> {
        let is_namespace_finalize = *address.kind == NAMESPACE && address.subresource.as_deref() == Some("finalize");
        let parts = [Subresource::Status, Subresource::Scale, Subresource::Approval];
        if parts.into_iter().any(|part| address.is_at(part)) || is_namespace_finalize {
            return match verb {
                "get" if address.is_at(Subresource::Scale) => get::scale(self, address).await,
                "get" => get::object(self, address).await,
                "update" => update::update(self, address, self.read(body).await?).await,
                "patch" => patch::patch(self, address, self.read(body).await?).await,
                _ => Err(status::method_not_allowed()),
            };
        }
        if address.is_at(Subresource::Log) {
            return if verb == "get" { log::log(self, address).await } else { Err(status::method_not_allowed()) };
        }
        if address.is_stream() {
            return connect::connect(self, address).await;
        }
        if address.is_at(Subresource::Token) {
            return match verb {
                "create" => token::request(self, address, &self.read(body).await?).await,
                _ => Err(status::method_not_allowed()),
            };
        }
        if address.is_at(Subresource::Binding) || address.is_at(Subresource::Eviction) {
            if verb != "create" {
                return Err(status::method_not_allowed());
            }
            let body = self.read(body).await?;
            return match address.is_at(Subresource::Binding) {
                true => binding::bind(self, address, &body).await,
                false => eviction::evict(self, address, &body).await,
            };
        }
        Err(status::unknown_resource())
    }

    /// The body, as far as it's short enough.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, Status> {
        self.read_at_most(body, BODY_BYTES_MAX).await
    }

    async fn read_at_most(&self, body: Body, bytes_max: usize) -> Result<Bytes, Status> {
        match Limited::new(body, bytes_max).collect().await {
            Ok(collected) => {
                let bytes = collected.to_bytes();
                *self.body.lock() = Some(bytes.clone());
                Ok(bytes)
            }
            Err(error) if error.is::<LengthLimitError>() => Err(status::too_large(bytes_max)),
            Err(error) => Err(status::bad_request(format!("the body could not be read: {error}"))),
        }
    }

    fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// How a write is carried out: as its query says, in the name of whoever asks.
    fn write_options(&self) -> Result<WriteOptions, Status> {
        let options_kind = match self.method {
            Method::POST => "CreateOptions",
            Method::PUT => "UpdateOptions",
            _ => "PatchOptions",
        };
        let user_agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let options = self.query.write_options(options_kind, user_agent.unwrap_or_default())?;
        Ok(WriteOptions { author: Some(self.author()), ..options })
    }

    fn author(&self) -> Author {
        Author { user: self.user.clone(), annotations: Arc::clone(&self.annotations) }
    }

    /// The form of the body.
    fn body_type(&self) -> Result<ContentType, Status> {
        ContentType::parse(self.content_type()).ok_or_else(|| status::unsupported_media_type(decode::ACCEPTED))
    }

    /// The object in a body, and the fields that are there twice.
    fn decode(&self, body: &[u8], kind: &str) -> Result<(Value, Vec<String>), Status> {
        let content_type = self.body_type()?;
        let decoded = decode::decode(body, content_type).map_err(|error| error.to_status(kind, body))?;
        Ok((decoded.value, decoded.duplicates))
    }

    /// The body of a request that asks for something and is not stored, how that is to be done, and what is to be said of the body.
    fn decode_asked(
        &self,
        body: &[u8],
        definition: &str,
        kind: &str,
    ) -> Result<(Value, WriteOptions, Vec<String>), Status> {
        let (mut asked, duplicates) = self.decode(body, kind)?;
        let options = self.write_options()?;
        let warnings = self.check_fields(Some(definition), kind, &mut asked, &duplicates, &options)?;
        Ok((asked, options, warnings))
    }

    /// The object in a body, and how it is to be written.
    fn decode_object(&self, body: &[u8], kind: &Kind) -> Result<(Value, WriteOptions), Status> {
        let options = self.write_options()?;
        let (object, duplicates) = self.decode(body, kind.kind)?;
        Ok((object, WriteOptions { duplicates, ..options }))
    }

    /// The answer to a write: the object, and what its writer should know.
    fn written(
        &self,
        code: StatusCode,
        address: &Address,
        written: &Written,
        complaints: &[String],
    ) -> Result<Response, Status> {
        let accepted = respond::negotiate(&self.headers)?;
        let now = self.app.objects.clock().now();
        let include = self.include()?;
        let record = present(address.custom.as_deref(), Arc::clone(&written.record));
        let mut response = respond::object(code, accepted, address.kind, &record, include, now);
        respond::warn(&mut response, complaints);
        respond::warn(&mut response, &written.warnings);
        Ok(response)
    }

    fn include(&self) -> Result<coracle_api::table::Include, Status> {
        let text = self.query.get("includeObject").unwrap_or_default();
        coracle_api::table::Include::parse(text)
            .ok_or_else(|| status::bad_request(format!("unrecognized includeObject value: {text:?}")))
    }
}
