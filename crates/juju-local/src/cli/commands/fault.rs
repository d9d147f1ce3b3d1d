//! `fault`: breaks something on purpose.

use juju_local_api::user::{Fault, ModelRequest};
use serde_json::Value;

use crate::cli::args::{FaultArgs, FaultKind};
use crate::cli::error::CliError;
use crate::cli::format::{plain, print_out};
use crate::cli::session::Session;

/// Runs the command; prints what the controller says it did.
///
/// # Errors
/// When there is no such unit, container or process.
pub async fn run(session: &Session, args: FaultArgs) -> Result<(), CliError> {
    let model = session.model_named(args.model.as_deref()).await?;
    let value: Value = model
        .ask(ModelRequest::Fault(Box::new(fault(args.kind))))
        .await?;
    match plain(&value) {
        text if text.is_empty() => Ok(()),
        text => print_out(&format!("{text}\n")),
    }
}

fn fault(kind: FaultKind) -> Fault {
    match kind {
        FaultKind::Signal {
            unit,
            process,
            container,
            signal,
        } => {
            let signal = signal.to_ascii_uppercase();
            let signal = signal.strip_prefix("SIG").unwrap_or(&signal).to_owned();
            Fault::Signal {
                unit,
                container,
                process,
                signal,
            }
        }
        FaultKind::KillContainer { unit, container } => Fault::KillContainer { unit, container },
        FaultKind::KillPod { unit, delete } => Fault::KillPod { unit, delete },
        FaultKind::Cut { units, from } => Fault::Cut { units, from },
        FaultKind::Lossy { units, percent } => Fault::Lossy { units, percent },
        FaultKind::Heal => Fault::Heal,
        FaultKind::KubernetesApi { mode } => Fault::KubernetesApi(mode),
        FaultKind::KillAtEffect { unit, effect } => Fault::KillAtEffect { unit, effect },
        FaultKind::StealLeadership { unit } => Fault::StealLeadership { unit },
        FaultKind::RotateSecret { secret } => Fault::RotateSecret { secret },
        FaultKind::FillDisk { unit, percent } => Fault::FillDisk { unit, percent },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_by_their_short_name() {
        let kind = FaultKind::Signal {
            unit: "a/0".into(),
            process: "postgres".into(),
            container: "charm".into(),
            signal: "sigstop".into(),
        };
        let Fault::Signal { signal, .. } = fault(kind) else {
            panic!("not a signal")
        };
        assert_eq!(signal, "STOP");
    }
}
