//! The bindings of one moment, by whom they are for: what an authorisation looks up instead of reading them all.
//!
//! Made anew when a role or a binding changed, out of what is parsed already; other writes leave it as it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coracle_api::kind::Kind;
use coracle_api::kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING};
use coracle_store::{Revision, Snapshot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::rule::PolicyRule;
use crate::authentication::{self, User};

/// Objects by storage key, each parsed once a revision.
type Parsed<T> = BTreeMap<Arc<str>, (Revision, Arc<T>)>;

/// Who may do what.
#[derive(Debug, Default)]
pub(super) struct Index {
    stamp: [Revision; 4],
    cluster_roles: Parsed<Role>,
    roles: Parsed<Role>,
    cluster_bindings: Parsed<Binding>,
    bindings: Parsed<Binding>,
    everywhere: Grants,
    by_namespace: HashMap<String, Grants>,
}

/// The roles that users and groups were given.
#[derive(Debug, Default)]
struct Grants {
    users: HashMap<String, Vec<Arc<Role>>>,
    groups: HashMap<String, Vec<Arc<Role>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Role {
    #[serde(deserialize_with = "or_default")]
    rules: Vec<PolicyRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Binding {
    #[serde(deserialize_with = "or_default")]
    subjects: Vec<Subject>,
    role_ref: RoleReference,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RoleReference {
    kind: String,
    name: String,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Index {
    /// Tells apart the moments between which a role or a binding changed.
    pub(super) fn stamp(snapshot: &Snapshot) -> [Revision; 4] {
        [&CLUSTER_ROLE, &ROLE, &CLUSTER_ROLE_BINDING, &ROLE_BINDING].map(|kind| snapshot.changed(&kind.resource()))
    }

    /// Whether the index still says what the snapshot does.
    pub(super) fn is_of(&self, stamp: [Revision; 4]) -> bool {
        self.stamp == stamp
    }

    /// The index of a moment; what didn't change since the previous one isn't parsed again.
    pub(super) fn build(snapshot: &Snapshot, previous: &Index) -> Index {
        let mut index = Index {
            stamp: Index::stamp(snapshot),
            cluster_roles: parse(snapshot, &CLUSTER_ROLE, &previous.cluster_roles),
            roles: parse(snapshot, &ROLE, &previous.roles),
            cluster_bindings: parse(snapshot, &CLUSTER_ROLE_BINDING, &previous.cluster_bindings),
            bindings: parse(snapshot, &ROLE_BINDING, &previous.bindings),
            ..Index::default()
        };
        let (mut everywhere, mut by_namespace) = (Grants::default(), HashMap::<String, Grants>::new());
        for (_, binding) in index.cluster_bindings.values() {
            if let Some(role) = index.role(&binding.role_ref, "") {
                everywhere.add(binding, "", role);
            }
        }
        for (key, (_, binding)) in &index.bindings {
            let namespace = key.split('/').nth(1).unwrap_or_default();
            if let Some(role) = index.role(&binding.role_ref, namespace) {
                by_namespace.entry(namespace.to_owned()).or_default().add(binding, namespace, role);
            }
        }
        (index.everywhere, index.by_namespace) = (everywhere, by_namespace);
        index
    }

    /// What a binding in this namespace (none for a ClusterRoleBinding) refers to.
    fn role(&self, reference: &RoleReference, namespace: &str) -> Option<&Arc<Role>> {
        let found = match reference.kind.as_str() {
            "ClusterRole" => self.cluster_roles.get(CLUSTER_ROLE.key(None, &reference.name).as_str()),
            "Role" if !namespace.is_empty() => self.roles.get(ROLE.key(Some(namespace), &reference.name).as_str()),
            _ => None,
        };
        found.map(|(_, role)| role)
    }

    /// The rules of a role, where it exists.
    pub(super) fn rules_of_role(&self, kind: &str, namespace: &str, name: &str) -> Option<&[PolicyRule]> {
        let reference = RoleReference { kind: kind.to_owned(), name: name.to_owned() };
        self.role(&reference, namespace).map(|role| role.rules.as_slice())
    }

    /// The rules that hold for a user, everywhere or in one namespace.
    pub(super) fn rules<'a>(&'a self, user: &'a User, namespace: Option<&str>) -> impl Iterator<Item = &'a PolicyRule> {
        let here = namespace.and_then(|namespace| self.by_namespace.get(namespace));
        [Some(&self.everywhere), here].into_iter().flatten().flat_map(|grants| grants.rules(user))
    }
}

impl Grants {
    fn add(&mut self, binding: &Binding, namespace: &str, role: &Arc<Role>) {
        for subject in &binding.subjects {
            let given = match subject.kind.as_str() {
                "User" => self.users.entry(subject.name.clone()),
                "Group" => self.groups.entry(subject.name.clone()),
                "ServiceAccount" => {
                    let own = Some(subject.namespace.as_str()).filter(|own| !own.is_empty());
                    let user = authentication::service_account_user(own.unwrap_or(namespace), &subject.name);
                    self.users.entry(user)
                }
                _ => continue,
            };
            given.or_default().push(Arc::clone(role));
        }
    }

    fn rules<'a>(&'a self, user: &'a User) -> impl Iterator<Item = &'a PolicyRule> {
        let own = self.users.get(user.name.as_str());
        let of_groups = user.groups.iter().filter_map(|group| self.groups.get(group.as_str()));
        own.into_iter().chain(of_groups).flatten().flat_map(|role| &role.rules)
    }
}

fn parse<T: Default + DeserializeOwned>(snapshot: &Snapshot, kind: &Kind, previous: &Parsed<T>) -> Parsed<T> {
    let prefix = kind.prefix(None);
    let records = snapshot.range(&prefix, None);
    let entries = records.map(|record| {
        let known = previous.get(&record.key).filter(|(revision, _)| *revision == record.revision);
        let entry = match known {
            Some(entry) => entry.clone(),
            // What can't be read grants nothing; the kind's schema keeps it out.
            None => (record.revision, Arc::new(serde_json::from_slice(&record.json).unwrap_or_default())),
        };
        (Arc::clone(&record.key), entry)
    });
    entries.collect()
}
