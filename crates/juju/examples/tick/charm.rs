//! What the charm does in a hook: it looks at everything and puts right what is not, whatever the
//! hook is called. Only what must happen once an event asks which event it is.

use std::io::Read as _;

use juju::{
    Context, Event, HookEnv, Read, SecretContent, SecretKey, SecretSpec, Status, ToolError,
};
use serde::Deserialize;

const PEERS: &str = "ticks";
const LABEL: &str = "token";

/// Why a hook fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Juju refused something.
    #[error("cannot work with Juju")]
    Juju(#[from] ToolError),
    /// There is no source of random numbers.
    #[error("cannot make a token")]
    Random(#[from] std::io::Error),
}

/// `config.yaml`.
#[derive(Deserialize)]
struct Options {
    word: String,
    step: i64,
}

/// Parameters of the action `add`.
#[derive(Deserialize)]
struct Add {
    amount: u64,
    note: Option<String>,
}

/// Runs the charm for one hook or action.
///
/// # Errors
/// When Juju refuses something that it should not.
pub fn hook(env: &HookEnv, juju: &Context<'_>) -> Result<(), Error> {
    let charm = Charm { env, juju };
    // Before it is made, and when the application is removed, there is no peer relation.
    let Some(peers) = juju.relation_ids(PEERS)?.into_iter().next() else {
        return charm.without_peers();
    };
    let options: Options = juju.config_as()?;
    match (env.event(), u64::try_from(options.step)) {
        (Event::Action(action), _) => charm.action(&action.name, &peers)?,
        (Event::UpdateStatus, Ok(step)) => drop(charm.add(&peers, step)?),
        _ => {}
    }
    if juju.is_leader()? {
        charm.keep_token(&peers, matches!(env.event(), Event::SecretRotate(_)))?;
        let total = charm.total(&peers)?;
        juju.relation_set(&peers, env.application(), "total", &total.to_string());
        juju.set_application_status(&Status::active(format!("{total} in all")))?;
    }
    charm.tell(&peers, &options)
}

struct Charm<'a> {
    env: &'a HookEnv,
    juju: &'a Context<'a>,
}

impl Charm<'_> {
    fn without_peers(&self) -> Result<(), Error> {
        if matches!(self.env.event(), Event::Action(_)) {
            self.juju.action_fail("there is no peer relation yet")?;
        }
        let status = Status::waiting("for the peer relation");
        Ok(self.juju.set_status(&status)?)
    }

    /// The unit's status.
    fn tell(&self, peers: &str, options: &Options) -> Result<(), Error> {
        let status = if options.step < 1 {
            Status::blocked(format!("step must be at least 1, not {}", options.step))
        } else if self.token(peers)?.is_none() {
            Status::waiting("for the leader's token")
        } else {
            let count = self.count(peers, self.env.unit())?;
            Status::active(format!("{} {count}", options.word))
        };
        Ok(self.juju.set_status(&status)?)
    }

    fn action(&self, name: &str, peers: &str) -> Result<(), Error> {
        match name {
            "add" => {
                let Add { amount, note } = self.juju.action_params()?;
                if let Some(note) = note {
                    tracing::info!("{amount} more: {note}");
                }
                let count = self.add(peers, amount)?;
                self.juju.action_set(&[("count", &count.to_string())])?;
            }
            "renew-token" if self.juju.is_leader()? => {
                self.keep_token(peers, true)?;
                self.juju.action_set(&[("renewed", "true")])?;
            }
            "renew-token" => self
                .juju
                .action_fail("only the leader can renew the token")?,
            other => self
                .juju
                .action_fail(&format!("this charm has no action {other}"))?,
        }
        Ok(())
    }

    /// A unit's count; what it never wrote is 0.
    fn count(&self, peers: &str, unit: &str) -> Result<u64, Error> {
        let bag = self.juju.relation_get(peers, unit)?;
        let text = bag.get("count").map(String::as_str).unwrap_or_default();
        Ok(text.parse().unwrap_or_default())
    }

    fn add(&self, peers: &str, amount: u64) -> Result<u64, Error> {
        let unit = self.env.unit();
        let count = self.count(peers, unit)?.saturating_add(amount);
        self.juju
            .relation_set(peers, unit, "count", &count.to_string());
        Ok(count)
    }

    fn total(&self, peers: &str) -> Result<u64, Error> {
        let mut total = self.count(peers, self.env.unit())?;
        for unit in self.juju.relation_units(peers)? {
            total = total.saturating_add(self.count(peers, &unit)?);
        }
        Ok(total)
    }

    /// Sees to it that there is a token, and a new one if asked for. The units learn its id from
    /// the application's databag.
    fn keep_token(&self, peers: &str, renew: bool) -> Result<(), Error> {
        let id = match self.juju.secret_info(LABEL)? {
            Some(info) if renew => {
                self.juju.secret_set(&info.id, &token()?)?;
                info.id
            }
            Some(info) => info.id,
            None => {
                let spec = SecretSpec {
                    owner: "application".into(),
                    label: LABEL.into(),
                    description: "What the units know each other by".into(),
                    rotate: "monthly".into(),
                    ..SecretSpec::default()
                };
                self.juju.secret_add(&token()?, &spec)?
            }
        };
        // `secret-add` tells the id with its scheme, `secret-info-get` without.
        let id = id.strip_prefix("secret:").unwrap_or(&id);
        self.juju
            .relation_set(peers, self.env.application(), "token-id", id);
        Ok(())
    }

    /// The token, the newest one.
    fn token(&self, peers: &str) -> Result<Option<SecretContent>, Error> {
        let bag = self.juju.relation_get(peers, self.env.application())?;
        match bag.get("token-id") {
            Some(id) => Ok(self.juju.secret_get(SecretKey::Id(id), Read::Refresh)?),
            None => Ok(None),
        }
    }
}

fn token() -> std::io::Result<SecretContent> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let text = format!("{:032x}", u128::from_be_bytes(bytes));
    Ok([("token", text)].into_iter().collect())
}
