//! Decides how library components are joined to the component that needs them, by the names of what each imports and exports. Pure.
//!
//! Deliberately absent: types. Whether what goes by the right name fits is checked as the components are joined.

use wac_graph::types::are_semver_compatible;

use crate::inspect::{Inspection, Kind, is_provided};

/// One of the components that are joined.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The container's name.
    pub name: &'a str,
    /// What it imports and exports.
    pub inspection: &'a Inspection,
}

/// Who satisfies whose imports. Parts are known by their place in the list; the first is the component that needs the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The imports that are satisfied by other parts; all others are the host's to satisfy.
    pub wires: Vec<Wire>,
    /// The part whose handler the whole exports: the first one, or the middleware in front of it.
    pub front: usize,
    /// Which parts are needed, in order.
    pub used: Vec<usize>,
}

/// One import that another part's export satisfies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Who imports.
    pub importer: usize,
    /// What.
    pub import: String,
    /// Who exports.
    pub exporter: usize,
    /// What: the same interface, perhaps in another version that is compatible.
    pub export: String,
}

/// Why components can't be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No library exports it, and no host provides it.
    #[error("imports {}, which nothing here provides", .imports.join(", "))]
    Unknown {
        /// The imports, by name.
        imports: Vec<String>,
    },
    /// A library exports the interface in a version that can't stand for the one that is imported.
    #[error(
        "container {importer:?} imports {import}, and library {library:?} exports {export}: another version, which is not compatible with it"
    )]
    OtherVersion {
        /// Who imports.
        importer: String,
        /// What.
        import: String,
        /// Who exports.
        library: String,
        /// What instead.
        export: String,
    },
    /// A library needs one that comes before it.
    #[error("library {importer:?} imports {import} from library {library:?}: name {library:?} after it")]
    Order {
        /// Who imports.
        importer: String,
        /// What.
        import: String,
        /// Who exports it.
        library: String,
    },
    /// What a component imports, only the middleware in front of it exports.
    #[error(
        "container {importer:?} imports {import}, and middleware {library:?} in front of it cannot be behind it, too"
    )]
    Circle {
        /// Who imports.
        importer: String,
        /// What.
        import: String,
        /// Who exports it.
        library: String,
    },
    /// Middleware and handler are of different generations.
    #[error("library {library:?} is middleware for {import}, and container {container:?} exports {exports}")]
    OtherHandler {
        /// The middleware.
        library: String,
        /// What it wants behind it.
        import: String,
        /// What is to be behind it.
        container: String,
        /// What that exports, or `no handler`.
        exports: String,
    },
    /// It is named as a library and is none.
    #[error("library {library:?} is a {} and no library: leave it out of the libraries", .kind.describe())]
    NoLibrary {
        /// It.
        library: String,
        /// What it is.
        kind: Kind,
    },
    /// Nobody needs it.
    #[error("library {library:?} exports {}, which nothing here imports", .exports.join(", "))]
    Unused {
        /// It.
        library: String,
        /// All that it exports.
        exports: Vec<String>,
    },
}

/// Joins libraries to the first part. Each import is satisfied by the first library that exports it, before the host is asked;
/// libraries are looked for after the one that imports. Middleware goes in front, in the order of the list: the first one is asked first.
pub fn plan(parts: &[Part<'_>], may_be_unused: bool) -> Result<Plan, LinkError> {
    let mut planner = Planner { parts, chain: Vec::new(), plan: Plan::default() };
    planner.refuse_what_runs()?;
    planner.put_in_front(may_be_unused)?;
    planner.satisfy()?;
    let unused = (1..parts.len()).find(|part| !planner.plan.used.contains(part));
    match unused {
        Some(part) if !may_be_unused => Err(LinkError::Unused {
            library: parts[part].name.to_owned(),
            exports: parts[part].inspection.exports.clone(),
        }),
        _ => {
            planner.plan.used.sort_unstable();
            Ok(planner.plan)
        }
    }
}

/// Why a component can't be a library, whatever it is joined to.
pub fn refuse_as_library(part: Part<'_>) -> Result<(), LinkError> {
    let kind = part.inspection.kind;
    match kind.is_handler() || kind.is_command() || kind == Kind::Other {
        true => Err(LinkError::NoLibrary { library: part.name.to_owned(), kind }),
        false => Ok(()),
    }
}

struct Planner<'a> {
    parts: &'a [Part<'a>],
    /// The middleware in front of the handler, from the outside.
    chain: Vec<usize>,
    plan: Plan,
}

impl Planner<'_> {
    fn refuse_what_runs(&self) -> Result<(), LinkError> {
        self.parts.iter().skip(1).try_for_each(|part| refuse_as_library(*part))
    }

    fn name(&self, part: usize) -> String {
        self.parts[part].name.to_owned()
    }

    /// From the inside out, each to the handler of the one behind it.
    fn put_in_front(&mut self, may_be_unused: bool) -> Result<(), LinkError> {
        let is_middleware = |part: &usize| self.parts[*part].inspection.kind.is_middleware();
        let chain: Vec<usize> = (1..self.parts.len()).filter(is_middleware).collect();
        let handler = self.parts[0].inspection.handler_export();
        if chain.is_empty() || (handler.is_none() && may_be_unused) {
            return Ok(());
        }
        for part in chain.iter().rev().copied() {
            let behind = self.plan.front;
            let import = self.parts[part].inspection.handler_import().unwrap_or_default();
            let export = self.parts[behind].inspection.handler_export();
            let Some(export) = export.filter(|export| are_semver_compatible(import, export)) else {
                let exports = export.unwrap_or("no handler").to_owned();
                let (library, container) = (self.name(part), self.name(behind));
                return Err(LinkError::OtherHandler { library, import: import.to_owned(), container, exports });
            };
            let (import, export) = (import.to_owned(), export.to_owned());
            self.plan.wires.push(Wire { importer: part, import, exporter: behind, export });
            self.plan.front = part;
        }
        self.chain = chain;
        Ok(())
    }

    /// Looks for whoever satisfies the imports of all that are needed.
    fn satisfy(&mut self) -> Result<(), LinkError> {
        let mut unknown = Vec::new();
        let mut next = 0;
        self.plan.used = std::iter::once(0).chain(self.chain.iter().copied()).collect();
        while let Some(importer) = self.plan.used.get(next).copied() {
            next += 1;
            let inspection = self.parts[importer].inspection;
            let from_behind = inspection.handler_import().filter(|_| self.chain.contains(&importer));
            for import in inspection.imports.iter().filter(|import| Some(import.as_str()) != from_behind) {
                match self.exporter(importer, import) {
                    Some((exporter, export)) => {
                        let wire = Wire { importer, import: import.clone(), exporter, export: export.to_owned() };
                        self.plan.wires.push(wire);
                        if !self.plan.used.contains(&exporter) {
                            self.plan.used.push(exporter);
                        }
                    }
                    None if is_provided(import) => {}
                    None => {
                        self.refuse_near(importer, import)?;
                        unknown.push(import.clone());
                    }
                }
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(LinkError::Unknown { imports: unknown }) }
    }

    /// The first part that may satisfy an import: the very version before one that is compatible.
    fn exporter(&self, importer: usize, import: &str) -> Option<(usize, &str)> {
        let candidates = || (importer + 1..self.parts.len()).filter(|part| self.may_be_behind(importer, *part));
        let find = |fits: fn(&str, &str) -> bool| {
            candidates().find_map(|part| self.export(part, |export| fits(import, export)).map(|export| (part, export)))
        };
        find(|import, export| import == export).or_else(|| find(are_semver_compatible))
    }

    /// What is in front of the handler can't be behind it as well.
    fn may_be_behind(&self, importer: usize, exporter: usize) -> bool {
        !self.chain.contains(&exporter) || self.chain.contains(&importer)
    }

    fn export(&self, part: usize, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
        self.parts[part].inspection.exports.iter().map(String::as_str).find(|export| is_wanted(export))
    }

    /// Names the library that would have what is imported, but for its version or its place.
    fn refuse_near(&self, importer: usize, import: &str) -> Result<(), LinkError> {
        for part in (1..self.parts.len()).filter(|part| *part != importer) {
            let Some(export) = self.export(part, |export| interface(export) == interface(import)) else { continue };
            let (importer_name, import, library) = (self.name(importer), import.to_owned(), self.name(part));
            return Err(if !are_semver_compatible(&import, export) {
                LinkError::OtherVersion { importer: importer_name, import, library, export: export.to_owned() }
            } else if self.may_be_behind(importer, part) {
                LinkError::Order { importer: importer_name, import, library }
            } else {
                LinkError::Circle { importer: importer_name, import, library }
            });
        }
        Ok(())
    }
}

/// The name of an interface without its version.
fn interface(name: &str) -> &str {
    name.split_once('@').map_or(name, |(interface, _)| interface)
}

#[cfg(test)]
mod tests;
