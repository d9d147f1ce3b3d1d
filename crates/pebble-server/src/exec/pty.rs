//! Terminals for commands.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::net::unix::pipe;
use tokio::process::Command;

use super::Terminal;
use crate::process::{self, Setting};
use crate::users::Owner;

/// The server's end of a terminal, to resize it by.
pub(super) struct Pty(OwnedFd);

/// The command's end of a terminal.
pub(super) struct Slave {
    file: File,
    path: String,
    interactive: bool,
}

/// A terminal with both its ends.
pub(super) struct Opened {
    pub pty: Arc<Pty>,
    /// What the command writes; it ends in an error when the command's end is closed everywhere.
    pub output: pipe::Receiver,
    pub input: pipe::Sender,
    pub slave: Slave,
}

impl Pty {
    /// Opens a terminal of that size, that user's.
    pub fn open(terminal: Terminal, owner: Option<Owner>) -> io::Result<Opened> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname(&master, Vec::new())?.to_string_lossy().into_owned();
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOCTTY.bits())
            .open(&path)?;
        if let Some(owner) = owner {
            fchown(&file, Some(owner.uid), Some(owner.gid))?;
        }
        fcntl(
            &master,
            FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK),
        )?;
        // A terminal is read and written like a pipe, once nobody asks whether it is one.
        let output = pipe::Receiver::from_owned_fd_unchecked(master.try_clone()?)?;
        let input = pipe::Sender::from_owned_fd_unchecked(master.try_clone()?)?;
        let pty = Self(master);
        if terminal.width > 0 && terminal.height > 0 {
            pty.resize(terminal.width, terminal.height);
        }
        let slave = Slave {
            file,
            path,
            interactive: terminal.interactive,
        };
        Ok(Opened {
            pty: Arc::new(pty),
            output,
            input,
            slave,
        })
    }

    /// Tells the command the terminal's size.
    pub fn resize(&self, width: u16, height: u16) {
        let size = Winsize {
            ws_row: height,
            ws_col: width,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let _ = tcsetwinsize(&self.0, size);
    }
}

impl Slave {
    /// A command at this terminal. Only a process can make a session of its own and take a
    /// terminal for it, so this program is started in between.
    pub fn command(&self, argv: &[String], setting: &Setting) -> Result<Command, String> {
        let terminal = || {
            self.file
                .try_clone()
                .map(Stdio::from)
                .map_err(|e| e.to_string())
        };
        let name = argv.first().map_or("", String::as_str);
        let program =
            process::find(name).ok_or_else(|| format!("cannot find executable \"{name}\""))?;
        let mut words = vec!["/proc/self/exe".to_owned(), "__tty".to_owned()];
        words.push(if self.interactive {
            self.path.clone()
        } else {
            String::new()
        });
        words.push(program.to_string_lossy().into_owned());
        words.extend_from_slice(argv);
        // Not in a group of its own: a group's leader cannot begin a session.
        let mut command = process::ungrouped(&words, setting)?;
        command
            .arg0("pebble")
            .stdout(terminal()?)
            .stderr(terminal()?);
        if self.interactive {
            command.stdin(terminal()?);
        } else {
            command.stdin(Stdio::piped());
        }
        Ok(command)
    }
}

/// `pebble __tty TERMINAL PROGRAM ARGV...`: begins a session, with this terminal if there is one,
/// and becomes the command.
pub(crate) fn become_command(args: &[String]) -> ExitCode {
    let [terminal, program, name, rest @ ..] = args else {
        return ExitCode::from(126);
    };
    if let Err(error) = nix::unistd::setsid() {
        eprintln!("cannot begin a session: {error}");
        return ExitCode::from(126);
    }
    // The first terminal that a session's leader opens becomes the session's own.
    let opened =
        (!terminal.is_empty()).then(|| OpenOptions::new().read(true).write(true).open(terminal));
    if let Some(Err(error)) = &opened {
        eprintln!("cannot open {terminal}: {error}");
        return ExitCode::from(126);
    }
    let error = std::process::Command::new(program)
        .arg0(name)
        .args(rest)
        .exec();
    eprintln!("cannot run {name}: {error}");
    ExitCode::from(127)
}
