use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::{schema, yaml};

mod fields;
mod laws;
mod lists;
mod writers;

/// An object that managers apply to and write to, one second after the other.
struct Bench {
    definition: &'static Definition,
    live: Value,
    managed: ManagedFields,
    seconds: i64,
    part: Part<'static>,
}

impl Bench {
    fn of(definition: &str) -> Bench {
        let definition = schema::definition(&format!("io.k8s.api.{definition}")).unwrap();
        let managed = ManagedFields::default();
        Bench { definition, live: Value::Null, managed, seconds: 0, part: Part::AllButStatus }
    }

    /// A pod whose spec is written in the configurations.
    fn pod() -> Bench {
        Bench::of("core.v1.Pod")
    }

    fn writer(&mut self, manager: &str) -> Writer {
        self.seconds += 1;
        let subresource = if self.part == Part::Status { "status" } else { "" };
        let now = jiff::Timestamp::from_second(self.seconds).unwrap();
        Writer { manager: manager.to_owned(), api_version: "v1".to_owned(), subresource, now }
    }

    fn try_apply(&mut self, manager: &str, config: &str, force: bool) -> Result<(), ApplyError> {
        let config = parse(config);
        check(self.definition, &config)?;
        let writer = self.writer(manager);
        let mut managed = self.managed.clone();
        self.live = apply(
            self.definition,
            &self.live,
            &config,
            &mut managed,
            Application { part: self.part, writer: &writer, force },
        )?;
        managed.write_to(&mut self.live);
        self.managed = ManagedFields::of(&self.live).unwrap();
        Ok(())
    }

    fn apply(&mut self, manager: &str, config: &str) -> &mut Bench {
        self.try_apply(manager, config, false).unwrap();
        self
    }

    fn force(&mut self, manager: &str, config: &str) -> &mut Bench {
        self.try_apply(manager, config, true).unwrap();
        self
    }

    /// A plain write of the whole object.
    fn update(&mut self, manager: &str, new: &str) -> &mut Bench {
        let writer = self.writer(manager);
        let new = parse(new);
        self.managed.record(changes(self.definition, &self.live, &new, self.part), &writer);
        self.live = new;
        self.managed.clone().write_to(&mut self.live);
        self
    }

    /// The error of an application.
    fn refused(&mut self, manager: &str, config: &str, expected: Expect) -> &mut Bench {
        expected.assert_eq(&self.try_apply(manager, config, false).unwrap_err().to_string());
        self
    }

    /// The object, and who owns what.
    fn check(&mut self, expected: Expect) -> &mut Bench {
        let mut object = self.live.clone();
        object::metadata_mut(&mut object).remove("managedFields");
        if object::metadata(&object).is_some_and(|metadata| metadata.is_empty()) {
            object.as_object_mut().unwrap().remove("metadata");
        }
        let mut text = format!("{object}\n");
        for entry in &self.managed.entries {
            let paths = entry.fields.paths().join(" ");
            text.push_str(&format!("{} {:?}: {paths}\n", entry.manager, entry.operation));
        }
        expected.assert_eq(&text);
        self
    }
}

fn parse(text: &str) -> Value {
    yaml::parse_all(text).unwrap().pop().unwrap_or(json!({}))
}
