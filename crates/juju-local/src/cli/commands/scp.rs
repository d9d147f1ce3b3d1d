//! `scp`: files and folders to and from units, as tar archives through the container's own tar.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::ssh::{plan, resolve_unit};
use super::tasks::quoted;
use crate::cli::args::ScpArgs;
use crate::cli::error::CliError;
use crate::cli::session::{Model, Session};

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Local(String),
    Remote { unit: String, path: String },
}

impl Place {
    /// `[user@]app/0:path` is remote; a colon behind a slash that begins a path is not.
    fn parse(word: &str) -> Self {
        match word.split_once(':') {
            Some((unit, path)) if unit.contains('/') && !unit.starts_with(['/', '.']) => {
                let path = if path.is_empty() { "." } else { path };
                Self::Remote {
                    unit: unit.to_owned(),
                    path: path.to_owned(),
                }
            }
            _ => Self::Local(word.to_owned()),
        }
    }

    fn path(&self) -> &str {
        match self {
            Self::Local(path) | Self::Remote { path, .. } => path,
        }
    }
}

/// What to copy where.
#[derive(Debug, PartialEq, Eq)]
struct Copy {
    recursive: bool,
    sources: Vec<Place>,
    destination: Place,
}

impl Copy {
    fn parse(words: &[String]) -> Result<Self, CliError> {
        let mut recursive = false;
        let mut places = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--" => {}
                "-o" | "-i" | "-F" | "-l" | "-P" | "-S" | "-c" => {
                    words.next();
                }
                option if option.starts_with('-') && option.len() > 1 => {
                    recursive |= !option.starts_with("--") && option.contains('r');
                }
                place => places.push(Place::parse(place)),
            }
        }
        let destination = places.pop();
        match destination {
            Some(destination) if !places.is_empty() => Ok(Self {
                recursive,
                sources: places,
                destination,
            }),
            _ => Err(CliError::usage("at least two arguments required")),
        }
    }
}

/// Runs `scp`.
///
/// # Errors
/// When a source cannot be read or the destination not be written.
pub async fn run(session: &Session, args: &ScpArgs) -> Result<(), CliError> {
    let copy = Copy::parse(&args.words)?;
    if !nix::unistd::geteuid().is_root() {
        return Err(CliError::message(
            "scp reaches into containers as root only: use sudo",
        ));
    }
    let model = session.model(&args.model).await?;
    for source in &copy.sources {
        let read = reader(source, copy.recursive);
        let into_folder = copy.sources.len() > 1;
        let write = writer(source, &copy.destination, into_folder);
        let mut from = command(&model, source, &args.container, &read).await?;
        let mut to = command(&model, &copy.destination, &args.container, &write).await?;
        pipe(&mut from, &mut to, source, &copy.destination).await?;
    }
    Ok(())
}

/// A shell line that writes the source as an archive with one entry.
fn reader(source: &Place, recursive: bool) -> String {
    let path = quoted(source.path());
    let refuse_folder = if recursive {
        String::new()
    } else {
        format!("[ ! -d {path} ] || {{ echo {path}: not a regular file >&2; exit 1; }}; ")
    };
    format!(
        "set -e; p=$(readlink -e {path}) || \
         {{ echo {path}: No such file or directory >&2; exit 1; }}; {refuse_folder}\
         exec tar -C \"$(dirname \"$p\")\" -cf - \"./$(basename \"$p\")\""
    )
}

/// A shell line that reads such an archive and puts its entry at the destination: into it, when
/// it is a folder, under the source's name. The entry gets there in one step, by a rename.
fn writer(source: &Place, destination: &Place, into_folder: bool) -> String {
    let name = Path::new(source.path())
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("x");
    let (path, name) = (quoted(destination.path()), quoted(name));
    let must = if into_folder {
        format!("[ -d {path} ] || {{ echo {path}: Not a directory >&2; exit 1; }}; ")
    } else {
        String::new()
    };
    format!(
        "set -e; {must}d={path}; [ ! -d \"$d\" ] || d=$d/{name}; \
         t=$(mktemp -d \"$(dirname \"$d\")/.scp.XXXXXX\"); trap 'rm -rf \"$t\"' EXIT; \
         tar -C \"$t\" --no-same-owner -xf -; e=$t/$(ls -A \"$t\"); \
         if [ -d \"$e\" ] && [ -d \"$d\" ]; then cp -a \"$e/.\" \"$d/\"; else mv -fT \"$e\" \"$d\"; fi"
    )
}

async fn command(
    model: &Model,
    place: &Place,
    container: &str,
    line: &str,
) -> Result<Command, CliError> {
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()];
    let argv = match place {
        Place::Local(_) => argv,
        Place::Remote { unit, .. } => {
            let unit = resolve_unit(model, unit).await?;
            plan(model, unit, container.to_owned(), argv).await?
        }
    };
    let (program, rest) = argv
        .split_first()
        .ok_or_else(|| CliError::message("the controller gave no command"))?;
    let mut command = Command::new(program);
    command.args(rest).kill_on_drop(true);
    Ok(command)
}

async fn pipe(
    from: &mut Command,
    to: &mut Command,
    source: &Place,
    destination: &Place,
) -> Result<(), CliError> {
    let failed = |source| CliError::Program {
        program: "/bin/sh".into(),
        source,
    };
    let mut from = from
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let out = from
        .stdout
        .take()
        .ok_or_else(|| CliError::message("the source gave no output"))?;
    let out: Stdio = out.try_into().map_err(failed)?;
    let mut to = to
        .stdin(out)
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let (from, to) = tokio::join!(from.wait(), to.wait());
    let broken = |place: &Place, what: &str| {
        CliError::message(format!("scp: cannot {what} {}", place.path()))
    };
    if !from.map_err(failed)?.success() {
        return Err(broken(source, "read"));
    }
    if !to.map_err(failed)?.success() {
        return Err(broken(destination, "write"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn remote_ends_name_a_unit() {
        let remote = |unit: &str, path: &str| Place::Remote {
            unit: unit.into(),
            path: path.into(),
        };
        assert_eq!(Place::parse("pg/0:/tmp/x"), remote("pg/0", "/tmp/x"));
        assert_eq!(
            Place::parse("root@pg/leader:x"),
            remote("root@pg/leader", "x")
        );
        assert_eq!(Place::parse("./a:b"), Place::Local("./a:b".into()));
        assert_eq!(Place::parse("a:b"), Place::Local("a:b".into()));
    }

    #[test]
    fn options_of_scp_are_taken() {
        let copy = Copy::parse(&words(&["--", "-rC", "-i", "key", "a", "pg/0:b"])).unwrap();
        assert!(copy.recursive);
        assert_eq!(copy.sources, [Place::Local("a".into())]);
        assert!(Copy::parse(&words(&["a"])).is_err());
    }

    #[tokio::test]
    async fn files_and_folders_arrive_under_the_right_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir_all(at("src dir/in")).unwrap();
        std::fs::write(at("src dir/in/f"), "1").unwrap();
        std::fs::write(at("file.x"), "2").unwrap();
        std::fs::create_dir(at("dst")).unwrap();
        for (source, destination, made) in [
            ("file.x", "dst", "dst/file.x"),
            ("file.x", "renamed", "renamed"),
            ("src dir", "dst", "dst/src dir/in/f"),
            ("src dir", "new", "new/in/f"),
        ] {
            let (source, destination) = (Place::Local(at(source)), Place::Local(at(destination)));
            let mut from = Command::new("/bin/sh");
            from.args(["-c", &reader(&source, true)]);
            let mut to = Command::new("/bin/sh");
            to.args(["-c", &writer(&source, &destination, false)]);
            pipe(&mut from, &mut to, &source, &destination)
                .await
                .unwrap();
            assert!(Path::new(&at(made)).is_file(), "{made}");
        }
        let source = Place::Local(at("none"));
        let mut from = Command::new("/bin/sh");
        from.args(["-c", &reader(&source, false)]);
        let mut to = Command::new("/bin/cat");
        assert!(pipe(&mut from, &mut to, &source, &source).await.is_err());
    }
}
