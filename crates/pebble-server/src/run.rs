//! `pebble run`: its flags, and the server from its start to its end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::sys::signal::SigSet;
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon::{Daemon, Options};
use crate::plan::{Layer, Stack, command};
use crate::{api, checks, identities, persist, services};

/// Runs the server: its exit code.
pub(crate) fn main(args: &[String]) -> ExitCode {
    // The init that started us waits for its signals by blocking them, and a mask is inherited.
    if let Err(error) = SigSet::empty().thread_set_mask() {
        eprintln!("error: cannot unblock signals: {error}");
        return ExitCode::FAILURE;
    }
    let result = options(args).and_then(|options| {
        prepare(&options)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(serve(&Arc::new(Daemon::new(options.0))))
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Where the directory and the socket are.
pub(crate) fn places() -> (PathBuf, PathBuf) {
    let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let directory: PathBuf = given("PEBBLE")
        .unwrap_or_else(|| "/var/lib/pebble/default".to_owned())
        .into();
    let socket =
        given("PEBBLE_SOCKET").map_or_else(|| directory.join(".pebble.socket"), PathBuf::from);
    (directory, socket)
}

/// The options, and whether directories are to be created.
struct Given(Options, bool);

fn options(args: &[String]) -> Result<Given, String> {
    let (directory, socket) = places();
    let mut options = Options {
        directory,
        socket,
        verbose: std::env::var("PEBBLE_VERBOSE").is_ok_and(|value| value == "1"),
        persist: std::env::var("PEBBLE_PERSIST")
            .is_ok_and(|value| value == "never")
            .eq(&false),
        ..Options::default()
    };
    let mut create = false;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value = || {
            let next = inline.clone().or_else(|| rest.next().cloned());
            next.ok_or_else(|| format!("expected argument for flag `{flag}'"))
        };
        match flag {
            "--hold" => options.hold = true,
            "--verbose" | "-v" => options.verbose = true,
            "--create-dirs" => create = true,
            "--http" => options.http = Some(value()?),
            "--identities" => options.identities = Some(value()?.into()),
            "--args" => {
                let service = value()?;
                let words = rest
                    .by_ref()
                    .take_while(|word| *word != ";")
                    .cloned()
                    .collect();
                options.args.push((service, words));
            }
            "--https" => return Err("cannot use --https: this server has no TLS".to_owned()),
            _ => return Err(format!("unknown flag `{arg}'")),
        }
    }
    Ok(Given(options, create))
}

/// Makes the directory, and fills it where `PEBBLE_COPY_ONCE` says with what.
fn prepare(Given(options, create): &Given) -> Result<(), String> {
    let shown = options.directory.display();
    if *create {
        let socket = options.socket.parent().map(Path::to_path_buf);
        for path in [Some(options.directory.join("layers")), socket]
            .into_iter()
            .flatten()
        {
            std::fs::create_dir_all(&path)
                .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        }
    }
    if !options.directory.is_dir() {
        return Err(format!("directory {shown} does not exist"));
    }
    let source = std::env::var("PEBBLE_COPY_ONCE")
        .ok()
        .filter(|text| !text.is_empty());
    if let Some(source) = source.map(PathBuf::from) {
        copy_once(&source, &options.directory)
            .map_err(|error| format!("cannot copy {} to {shown}: {error}", source.display()))?;
    }
    Ok(())
}

/// Copies a directory into another one that has no files yet.
fn copy_once(source: &Path, target: &Path) -> std::io::Result<()> {
    if !source.is_dir() || source == target || has_files(target)? {
        return Ok(());
    }
    copy(source, target)
}

fn has_files(directory: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_files(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn copy(source: &Path, target: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(target)?;
    for entry in std::fs::read_dir(source)? {
        let entry = entry?;
        let place = target.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &place)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, place)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

async fn serve(daemon: &Arc<Daemon>) -> Result<u8, String> {
    let failed = |error: std::io::Error| format!("cannot wait for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    persist::load(daemon);
    if let Some(path) = &daemon.options.identities {
        identities::load(daemon, path)?;
    }
    {
        let mut layers = Stack::load(&daemon.options.directory.join("layers"))?;
        add_args(&mut layers, &daemon.options.args)?;
        let plan = Arc::new(layers.plan()?);
        let mut state = daemon.state();
        state.layers = layers;
        state.plan = plan;
    }
    api::listen(daemon).await?;
    checks::follow_plan(daemon);
    tokio::spawn(persist::keep_saved(daemon.clone()));
    tokio::spawn(persist::keep_small(daemon.clone()));
    daemon.say("Started daemon.");
    if !daemon.options.hold {
        services::autostart(daemon);
    }
    let mut end = daemon.end.subscribe();
    let code = tokio::select! {
        _ = terminate.recv() => 0,
        _ = interrupt.recv() => 0,
        code = end.wait_for(Option::is_some) => code.ok().and_then(|code| *code).unwrap_or(0),
    };
    daemon.say("Server exiting!");
    daemon.ending.store(true, Ordering::Relaxed);
    services::stop_all(daemon).await;
    persist::save(daemon);
    let _ = std::fs::remove_file(&daemon.options.socket);
    daemon.output.flush();
    Ok(code)
}

/// Adds the layer of `--args`: services with other default arguments.
fn add_args(layers: &mut Stack, args: &[(String, Vec<String>)]) -> Result<(), String> {
    if args.is_empty() {
        return Ok(());
    }
    let plan = layers.plan()?;
    let mut layer = Layer::default();
    for (name, words) in args {
        let service = plan.services.get(name).ok_or_else(|| {
            format!("cannot parse arguments for service \"{name}\": service does not exist")
        })?;
        let (own, _) = command::parse(name, &service.command)?;
        let mut changed = crate::plan::Service::default();
        "merge".clone_into(&mut changed.override_);
        changed.command = command::with_defaults(&own, words);
        layer.services.insert(name.clone(), changed);
    }
    layers
        .add_unchecked("pebble-service-args", layer, false, false)
        .map(drop)
        .map_err(|why| why.to_string())
}
