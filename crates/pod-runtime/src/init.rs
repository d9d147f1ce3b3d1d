//! The helper that becomes a container: the same program, started again with `__container-init`.
//!
//! Its first stage makes the namespaces and the mounts, starts the second one as the first process
//! of the new process namespace, and waits. The second changes the root and becomes the command.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{User, chdir, chown, pivot_root, sethostname};

use crate::DNS_ADDRESS;
use crate::container::{ContainerSpec, Mount};

const NONE: Option<&str> = None;
const BIND: MsFlags = MsFlags::MS_BIND.union(MsFlags::MS_REC);

/// Runs a stage of the helper if these arguments ask for one.
#[must_use]
pub fn maybe_run_helper(args: &[OsString]) -> Option<ExitCode> {
    let stage = args.get(1)?.to_str()?;
    let path = PathBuf::from(args.get(2).cloned().unwrap_or_default());
    let result = match stage {
        "__container-init" => first(&path),
        "__container-start" => second(&path),
        _ => return None,
    };
    Some(result.unwrap_or_else(|text| {
        eprintln!("{text}");
        ExitCode::from(125)
    }))
}

fn read(path: &Path) -> Result<ContainerSpec, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read the spec: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("cannot read the spec: {error}"))
}

fn step<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("cannot {what}: {error}"))
}

fn first(path: &Path) -> Result<ExitCode, String> {
    let spec = read(path)?;
    let network = step(
        "open the network",
        File::open(format!("/run/netns/{}", spec.network)),
    )?;
    step(
        "enter the network",
        setns(network, CloneFlags::CLONE_NEWNET),
    )?;
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    step("make namespaces", unshare(flags))?;
    step(
        "part the mounts",
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE),
    )?;
    step("set the host name", sethostname(&spec.hostname))?;
    make_root(&spec)?;
    let own = step("find this program", std::env::current_exe())?;
    let mut child = step(
        "start the container",
        Command::new(own)
            .arg("__container-start")
            .arg(path)
            .stdin(Stdio::null())
            // The first stage's own output carries the process id.
            .stdout(step(
                "share the log",
                std::os::fd::AsFd::as_fd(&std::io::stderr()).try_clone_to_owned(),
            )?)
            .spawn(),
    )?;
    println!("{}", child.id());
    let status = step("wait for the container", child.wait())?;
    let code = status
        .code()
        .map_or(137, |code| u8::try_from(code).unwrap_or(1));
    Ok(ExitCode::from(code))
}

/// The root: the machine's files, an image's over them, and the container's own writes over all.
fn make_root(spec: &ContainerSpec) -> Result<(), String> {
    let (upper, work, root) = (
        spec.directory.join("upper"),
        spec.directory.join("work"),
        spec.directory.join("root"),
    );
    for directory in [&upper, &work, &root] {
        step(
            "make the container's folders",
            fs::create_dir_all(directory),
        )?;
    }
    step(
        "open the root",
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)),
    )?;
    write_names(spec, &upper.join("etc"))?;
    let below = match &spec.image {
        Some(image) => {
            let what = format!("find the image {}", image.display());
            step(&what, fs::read_dir(image))?;
            format!("{}:{}", image.display(), machine(spec)?.display())
        }
        None => "/".to_owned(),
    };
    let options = format!(
        "lowerdir={below},upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    step(
        "mount the root",
        mount(
            Some("overlay"),
            &root,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        ),
    )?;
    mount_system(&root)?;
    for one in &spec.mounts {
        mount_volume(one, &root)?;
    }
    Ok(())
}

/// The machine's files as a file system of their own: overlayfs refuses a layer that is inside of
/// another one, as an image's folder is inside of `/`.
fn machine(spec: &ContainerSpec) -> Result<PathBuf, String> {
    let below = spec.directory.join("below");
    let (nothing, machine) = (below.join("nothing"), below.join("machine"));
    let what = "make the machine's layer";
    step(what, fs::create_dir_all(&below))?;
    let (kind, flags) = (Some("tmpfs"), MsFlags::empty());
    step(what, mount(kind, &below, kind, flags, NONE))?;
    step(what, fs::create_dir(&nothing))?;
    step(what, fs::create_dir(&machine))?;
    let options = format!("lowerdir={}:/", nothing.display());
    let kind = Some("overlay");
    step(
        what,
        mount(kind, &machine, kind, flags, Some(options.as_str())),
    )?;
    Ok(machine)
}

/// Who the container is, and who it asks for others' names.
fn write_names(spec: &ContainerSpec, etc: &Path) -> Result<(), String> {
    step("make the container's folders", fs::create_dir_all(etc))?;
    let files = [
        ("hostname", format!("{}\n", spec.hostname)),
        (
            "hosts",
            format!(
                "127.0.0.1 localhost\n{} {} {}\n",
                spec.address, spec.fqdn, spec.hostname
            ),
        ),
        (
            "resolv.conf",
            format!(
                "nameserver {DNS_ADDRESS}\nsearch {}\noptions ndots:5 timeout:1 attempts:2\n",
                spec.search.join(" ")
            ),
        ),
    ];
    for (name, text) in files {
        step(
            "write the container's names",
            fs::write(etc.join(name), text),
        )?;
    }
    Ok(())
}

/// Devices, memory and the folders that programs expect.
fn mount_system(root: &Path) -> Result<(), String> {
    for name in ["dev", "sys"] {
        let target = root.join(name);
        step(
            "mount the devices",
            mount(Some(&Path::new("/").join(name)), &target, NONE, BIND, NONE),
        )?;
    }
    // Container runtimes give `/dev/shm` 64 MiB.
    for (name, options) in [
        ("dev/shm", "mode=1777,size=65536k"),
        ("run", "mode=755"),
        ("tmp", "mode=1777"),
    ] {
        let target = root.join(name);
        step(
            "mount memory",
            mount(
                Some("tmpfs"),
                &target,
                Some("tmpfs"),
                MsFlags::empty(),
                Some(options),
            ),
        )?;
    }
    let sockets = root.join("run/postgresql");
    step("make /run/postgresql", fs::create_dir_all(&sockets))?;
    if let Ok(Some(user)) = User::from_name("postgres") {
        step(
            "own /run/postgresql",
            chown(&sockets, Some(user.uid), Some(user.gid)),
        )?;
    }
    let _ = fs::create_dir_all(root.join("run/lock"));
    Ok(())
}

fn mount_volume(one: &Mount, root: &Path) -> Result<(), String> {
    // The machine's /var/run is a link; followed from outside it would lead out of the root.
    let inside = one
        .target
        .strip_prefix("/var")
        .ok()
        .filter(|path| path.starts_with("run"));
    let inside = inside.unwrap_or(one.target.strip_prefix("/").unwrap_or(&one.target));
    let target = root.join(inside);
    let folder = if one.source.is_dir() {
        target.as_path()
    } else {
        target.parent().unwrap_or(root)
    };
    step("make a mount point", fs::create_dir_all(folder))?;
    if !one.source.is_dir() {
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(&target);
        step("make a mount point", file)?;
    }
    let what = format!("mount {} at {}", one.source.display(), one.target.display());
    step(&what, mount(Some(&one.source), &target, NONE, BIND, NONE))?;
    if one.read_only {
        let flags = BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        step(&what, mount(NONE, &target, NONE, flags, NONE))?;
    }
    Ok(())
}

/// The first process of the container.
fn second(path: &Path) -> Result<ExitCode, String> {
    // When the first stage dies, so does the whole container.
    step(
        "tie the container to its helper",
        prctl::set_pdeathsig(Signal::SIGKILL),
    )?;
    let spec = read(path)?;
    let root = spec.directory.join("root");
    let proc = root.join("proc");
    step(
        "mount /proc",
        mount(Some("proc"), &proc, Some("proc"), MsFlags::empty(), NONE),
    )?;
    step("enter the root", chdir(&root))?;
    step("change the root", pivot_root(".", "."))?;
    step(
        "leave the machine's root",
        umount2(".", MntFlags::MNT_DETACH),
    )?;
    step("enter the working directory", chdir("/"))?;
    let _ = fs::create_dir_all(&spec.working_dir);
    let Some((program, args)) = spec.command.split_first() else {
        return Err("cannot start a container without a command".to_owned());
    };
    let error = Command::new(program)
        .args(args)
        .env_clear()
        .envs(&spec.environment)
        .current_dir(&spec.working_dir)
        .exec();
    Err(format!("cannot run {program}: {error}"))
}
