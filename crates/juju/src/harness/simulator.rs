//! The hook tools over a [`State`]: the other implementation of [`HookTools`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use super::call::{Answer, Args, Refused, refused, usage};
use super::metadata::Charm;
use super::outcome::{ActionOutcome, Call, Fault, Line};
use super::state::{Relation, State};
use super::tools;
use super::trigger::{Trigger, relation_event};
use crate::event::Event;
use crate::status::Status;
use crate::tools::{HookTools, Output};

/// Longest argument that Linux passes on: 128 KiB with its end.
const LONGEST_ARGUMENT: usize = 131_071;

/// What changes during a hook.
#[derive(Default)]
pub(super) struct Inner {
    /// What stays if the hook fails: only what takes effect at once.
    pub kept: State,
    /// What this hook sees, and what stays if it exits 0.
    pub view: State,
    /// Whether leadership is needed when the hook ends.
    pub needs_leadership: bool,
    /// Why Juju will not take what the hook wrote.
    pub commit_refusal: Option<String>,
    pub killed: bool,
    pub calls: Vec<Call>,
    pub logs: Vec<Line>,
    pub unit_statuses: Vec<Status>,
    pub app_statuses: Vec<Status>,
    pub storages: BTreeMap<String, u32>,
    pub action: ActionOutcome,
}

impl Inner {
    /// Changes what takes effect at once.
    pub(super) fn at_once(&mut self, change: impl Fn(&mut State)) {
        change(&mut self.kept);
        change(&mut self.view);
    }
}

/// The tools of one hook.
pub(super) struct Simulator<'a> {
    pub charm: &'a Charm,
    pub unit: &'a str,
    pub trigger: &'a Trigger,
    /// The state before the hook.
    pub before: &'a State,
    pub faults: &'a [Fault],
    pub inner: RefCell<Inner>,
}

impl<'a> Simulator<'a> {
    pub(super) fn new(
        charm: &'a Charm,
        unit: &'a str,
        trigger: &'a Trigger,
        before: &'a State,
        faults: &'a [Fault],
    ) -> Self {
        let inner = Inner {
            kept: before.clone(),
            view: before.clone(),
            ..Inner::default()
        };
        Self {
            charm,
            unit,
            trigger,
            before,
            faults,
            inner: RefCell::new(inner),
        }
    }

    pub(super) fn application(&self) -> &str {
        self.unit.rsplit_once('/').map_or(self.unit, |(app, _)| app)
    }

    pub(super) fn is_action(&self) -> bool {
        matches!(self.trigger.event, Event::Action(_))
    }

    pub(super) fn leads(&self) -> bool {
        self.inner.borrow().view.leader
    }

    /// The other end's application.
    pub(super) fn remote_app<'r>(&'r self, relation: &'r Relation) -> &'r str {
        relation.remote_app.as_deref().unwrap_or(self.application())
    }

    /// The relation that a call is about: its flag's, or the hook's.
    pub(super) fn relation(&self, args: &Args) -> Result<Relation, Refused> {
        let hook = relation_event(&self.trigger.event).map(|event| event.relation_id.as_str());
        let Some(text) = args.flag("relation").or(hook) else {
            return Err(usage("no relation id specified"));
        };
        let invalid = |why| usage(format!("invalid value \"{text}\" for option -r: {why}"));
        let (endpoint, number) = match text.rsplit_once(':') {
            Some((endpoint, number)) => (Some(endpoint), number),
            None => (None, text),
        };
        let id: u32 = number.parse().map_err(|_| invalid("invalid relation id"))?;
        let inner = self.inner.borrow();
        let found = inner.view.relation(id);
        found
            .filter(|relation| endpoint.is_none_or(|name| name == relation.endpoint))
            .cloned()
            .ok_or_else(|| invalid("relation not found"))
    }

    /// What happens by itself when this many calls were made.
    pub(super) fn apply_faults(&self, inner: &mut Inner) {
        let made = inner.calls.len();
        for fault in self.faults {
            match fault {
                Fault::LeadershipLost { after_calls } if made >= *after_calls => {
                    inner.at_once(|state| state.leader = false);
                }
                Fault::Killed { after_calls } if made >= *after_calls => inner.killed = true,
                _ => {}
            }
        }
    }

    fn answer(&self, tool: &str, args: &[&str], stdin: Option<&[u8]>) -> io::Result<Answer> {
        let told = self.faults.iter().find_map(|fault| match fault {
            Fault::ToolRefuses { tool: name, text } if name == tool => Some(text.clone()),
            _ => None,
        });
        if let Some(text) = told {
            return Ok(Err(refused(text)));
        }
        tools::answer(self, tool, args, stdin)
    }
}

impl HookTools for Simulator<'_> {
    fn run(&self, tool: &str, args: &[&str], stdin: Option<&[u8]>) -> io::Result<Output> {
        {
            let mut inner = self.inner.borrow_mut();
            self.apply_faults(&mut inner);
            if inner.killed {
                return Err(io::Error::other("the hook's process was killed"));
            }
        }
        if args.iter().any(|arg| arg.len() > LONGEST_ARGUMENT) {
            return Err(io::Error::from(io::ErrorKind::ArgumentListTooLong));
        }
        let answer = self.answer(tool, args, stdin)?;
        let output = match &answer {
            Ok(text) => Output {
                code: 0,
                stdout: text.clone().into_bytes(),
                stderr: Vec::new(),
            },
            Err(Refused { code, text }) => Output {
                code: *code,
                stdout: Vec::new(),
                stderr: format!("ERROR {text}\n").into_bytes(),
            },
        };
        self.inner.borrow_mut().calls.push(Call {
            tool: tool.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            stdin: stdin.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            refusal: answer.err().map(|refused| refused.text),
        });
        Ok(output)
    }
}
