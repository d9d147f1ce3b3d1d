//! The command line that speaks `juju`'s language.

pub mod args;
pub mod commands;
pub mod error;
pub mod format;
pub mod pairs;
pub mod session;
pub mod status;
pub mod table;
pub mod times;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use commands::{
    apps, bootstrap, config, controllers, fault, log, models, offers, operations, relations, scp,
    secrets, show, ssh, status_log, tasks, units,
};
use error::CliError;
use session::Session;

use crate::home::Home;
use crate::process;

/// Commands of juju that have no meaning in a Kubernetes model, or none on this machine.
const OF_JUJU_ONLY: [&str; 14] = [
    "add-machine",
    "remove-machine",
    "machines",
    "add-cloud",
    "update-cloud",
    "remove-cloud",
    "clouds",
    "add-credential",
    "credentials",
    "add-ssh-key",
    "remove-ssh-key",
    "ssh-keys",
    "expose",
    "migrate",
];

/// Reads the command line, does what it says, and prints the error if there is one.
#[must_use]
pub fn main(words: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match cli.command {
        Command::Daemon(args) => process::daemon(&Home::from_env(), &args),
        Command::UnitAgent => process::unit_agent(),
        Command::CharmInit => process::charm_init(),
        command => {
            let session = Session::new(Home::from_env(), cli.quiet);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let result = match runtime {
                Ok(runtime) => runtime.block_on(run(&session, command)),
                Err(source) => Err(CliError::Program {
                    program: "tokio".into(),
                    source,
                }),
            };
            finish(result)
        }
    }
}

/// Waits for Ctrl-C, or for ever when the signal cannot be had.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    // Whoever is told to end puts the terminal back as after Ctrl-C.
    let told = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => drop(term.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => if pressed.is_err() {
            std::future::pending::<()>().await;
        },
        () = told => {}
    }
}

fn finish(result: Result<(), CliError>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(text) = error.text() {
        eprintln!("ERROR {text}");
    }
    ExitCode::from(error.exit_code())
}

/// clap's refusals in juju's form; its help and version as they are.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // A reader that went away is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    eprintln!(
        "ERROR {}",
        text.strip_prefix("error: ").unwrap_or(&text).trim_end()
    );
    ExitCode::from(2)
}

async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Bootstrap(args) => bootstrap::run(session, &args).await,
        Command::DestroyController(args) => controllers::destroy(session, &args).await,
        Command::Controllers(args) => controllers::list(session, &args.output).await,
        Command::Version(args) => controllers::version(&args),
        Command::Whoami(args) => controllers::whoami(session, &args.output).await,
        Command::AddModel(args) => models::add(session, &args).await,
        Command::DestroyModel(args) => models::destroy(session, &args).await,
        Command::Models(args) => models::list(session, &args.output).await,
        Command::Switch(args) => models::switch(session, &args).await,
        Command::ShowModel(args) => models::show(session, &args).await,
        Command::ModelConfig(args) => models::config(session, &args).await,
        Command::ModelConstraints(args) => models::constraints(session, &args).await,
        Command::SetModelConstraints(args) => models::set_constraints(session, &args).await,
        Command::Status(args) => status::run(session, &args).await,
        Command::DebugLog(args) => log::run(session, &args).await,
        Command::ShowStatusLog(args) => status_log::run(session, &args).await,
        Command::Fault(args) => fault::run(session, args).await,
        Command::Net(args) => ssh::net(session, &args).await,
        Command::Ssh(args) => ssh::run(session, &args).await,
        Command::Scp(args) => scp::run(session, &args).await,
        Command::Other(words) => Err(unknown(&words)),
        Command::Daemon(_) | Command::UnitAgent | Command::CharmInit => Ok(()),
        other => run_application(session, other).await,
    }
}

async fn run_application(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Deploy(args) => apps::deploy(session, &args).await,
        Command::Refresh(args) => apps::refresh(session, &args).await,
        Command::RemoveApplication(args) => apps::remove(session, &args).await,
        Command::Trust(args) => apps::trust(session, &args).await,
        Command::Constraints(args) => apps::constraints(session, &args).await,
        Command::SetConstraints(args) => apps::set_constraints(session, &args).await,
        Command::AttachResource(args) => apps::attach_resource(session, &args).await,
        Command::Resources(args) => apps::list_resources(session, &args).await,
        Command::Config(args) => config::run(session, &args).await,
        Command::AddUnit(args) => units::add(session, &args).await,
        Command::RemoveUnit(args) => units::remove(session, &args).await,
        Command::ScaleApplication(args) => units::scale(session, &args).await,
        Command::Resolved(args) => units::resolved(session, &args).await,
        Command::Storage(args) => units::storage(session, &args).await,
        Command::RemoveStorage(args) => units::remove_storage(session, &args).await,
        Command::ShowUnit(args) => show::unit(session, &args).await,
        Command::ShowApplication(args) => show::application(session, &args).await,
        other => run_rest(session, other).await,
    }
}

async fn run_rest(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Integrate(args) => relations::integrate(session, &args).await,
        Command::RemoveRelation(args) => relations::remove(session, &args).await,
        Command::SuspendRelation(args) => relations::suspend(session, &args, true).await,
        Command::ResumeRelation(args) => relations::suspend(session, &args, false).await,
        Command::Offer(args) => offers::offer(session, &args).await,
        Command::Offers(args) => offers::list(session, &args).await,
        Command::RemoveOffer(args) => offers::remove(session, &args).await,
        Command::FindOffers(args) => offers::find(session, &args).await,
        Command::Consume(args) => offers::consume(session, &args).await,
        Command::RemoveSaas(args) => offers::remove_saas(session, &args).await,
        Command::Saas(args) => offers::list_saas(session, &args).await,
        Command::Run(args) => tasks::run(session, &args).await,
        Command::Exec(args) => tasks::exec(session, &args).await,
        Command::Actions(args) => tasks::list_actions(session, &args).await,
        Command::ShowTask(args) => tasks::show_task(session, &args).await,
        Command::ShowOperation(args) => operations::show(session, &args).await,
        Command::Operations(args) => operations::list(session, &args).await,
        Command::CancelTask(args) => tasks::cancel(session, &args).await,
        Command::AddSecret(args) => secrets::add(session, &args).await,
        Command::UpdateSecret(args) => secrets::update(session, &args).await,
        Command::GrantSecret(args) => secrets::grant(session, &args, true).await,
        Command::RevokeSecret(args) => secrets::grant(session, &args, false).await,
        Command::RemoveSecret(args) => secrets::remove(session, &args).await,
        Command::Secrets(args) => secrets::list(session, &args).await,
        Command::ShowSecret(args) => secrets::show(session, &args).await,
        _ => Ok(()),
    }
}

fn unknown(words: &[String]) -> CliError {
    let name = words.first().map_or("", String::as_str);
    if OF_JUJU_ONLY.contains(&name) {
        return CliError::message(format!(
            "\"juju {name}\" has no meaning here: a model of juju-local is a Kubernetes model on \
             this machine, with one cloud and no machines"
        ));
    }
    CliError::usage(format!(
        "juju-local: \"{name}\" is not a command. See \"juju-local --help\"."
    ))
}
