//! What a pod says of a Linux container, and nothing of a component's.

/// What a Linux container is started with besides what every container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinuxSpec {
    /// `command`: replaces the image's entrypoint and arguments where it isn't empty.
    pub command: Vec<String>,
    /// `args`: replaces the image's arguments where it isn't empty.
    pub args: Vec<String>,
    /// `workingDir`; otherwise the image's.
    pub working_dir: Option<String>,
    /// The pod's name for itself.
    pub hostname: String,
    /// All memory it may have; `None` is as much as there is.
    pub memory_bytes_max: Option<u64>,
    /// As whom it runs, and what it may.
    pub security: Security,
}

/// The parts of the security contexts of pod and container that are honoured, the container's before the pod's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Security {
    /// `runAsUser`; otherwise the image's user.
    pub user: Option<u32>,
    /// `runAsGroup`; otherwise the user's.
    pub group: Option<u32>,
    /// `runAsNonRoot`: it isn't started as root.
    pub is_non_root: bool,
    /// `supplementalGroups`, besides those that the image gives the user.
    pub groups: Vec<u32>,
    /// `readOnlyRootFilesystem`.
    pub is_root_read_only: bool,
    /// `allowPrivilegeEscalation`: its programs may gain privileges when they start others. Unlike with Kubernetes not unless it's said.
    pub may_gain_privileges: bool,
    /// `capabilities.drop`, as `CAP_NET_RAW` or `ALL`.
    pub dropped: Vec<String>,
}
