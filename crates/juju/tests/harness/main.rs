//! The harness against what Juju does, and the context against the harness.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod calls;
mod consistency;
mod databags;
mod events;
mod secrets;
mod transaction;

use std::convert::Infallible;

use juju::harness::{Harness, Outcome, Relation, State, Trigger};
use juju::{Context, HookEnv, HookTools, Output, run_hook};

const METADATA: &str = "
name: shop
peers: {members: {interface: shop_peers}}
provides: {db: {interface: sql}, admin: {interface: sql, limit: 1}}
requires: {cert: {interface: tls}}
containers: {web: {}, my-cache: {}}
storage: {data: {type: filesystem}, logs: {type: filesystem, multiple: {range: 0-}}}
resources: {image: {type: oci-image}}
extra-bindings: {public: null}
";
const CONFIG: &str = "
options:
  title: {type: string, default: Shop}
  workers: {type: int, default: 4}
  ratio: {type: float}
  debug: {type: boolean, default: false}
  key: {type: secret}
";
const ACTIONS: &str = "
count:
  params:
    to: {type: integer, default: 3, minimum: 1}
    how: {type: string, enum: [up, down]}
  required: [how]
ping: {}
";

fn shop() -> Harness {
    Harness::new(METADATA, CONFIG, ACTIONS).unwrap()
}

fn members() -> Relation {
    Relation::peer("members", 1)
}

fn db() -> Relation {
    Relation::new("db", 4, "web")
}

/// Runs a charm that does this with its context; a panic of it is the test's.
fn run(
    harness: &Harness,
    trigger: impl Into<Trigger>,
    state: &State,
    charm: impl FnOnce(&HookEnv, &Context<'_>),
) -> Outcome {
    let charm = |env: &HookEnv, context: &Context<'_>| -> Result<(), Infallible> {
        charm(env, context);
        Ok(())
    };
    harness
        .run(trigger, state, |env, tools| run_hook(env, tools, charm))
        .unwrap()
}

/// Runs one tool in an update-status hook: its answer, or its code and error.
fn tool(state: &State, line: &[&str]) -> Result<String, (i32, String)> {
    let mut output = Output::default();
    let call = |tools: &dyn HookTools| tools.run(line[0], &line[1..], None).unwrap();
    let ran = shop().run(juju::Event::UpdateStatus, state, |_, tools| {
        output = call(tools);
    });
    ran.unwrap();
    if output.code == 0 {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err((output.code, String::from_utf8(output.stderr).unwrap()))
    }
}
