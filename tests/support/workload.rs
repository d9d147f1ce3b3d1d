//! A workload container under Pebble: its files, its layer, its one service.

use cluster_plan::names::{PGDATA, STORAGE};
use cluster_plan::observed::ServiceState;
use postgresql_k8s::observe::failure;
use postgresql_k8s::ports::{FileInfo, Output, PortError, PortResult, Workload};

use super::{File, Unit, World};

/// The container as the unit's charm sees it.
pub struct FakeWorkload<'a> {
    pub world: &'a World,
    pub ordinal: u32,
}

/// What stands for the content of a symbolic link.
const LINK: &[u8] = b"a link";

fn printed(stdout: &str) -> Output {
    Output {
        code: 0,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    }
}

impl FakeWorkload<'_> {
    fn unit<T>(&self, work: impl FnOnce(&mut Unit) -> T) -> PortResult<T> {
        self.world.with(|state| {
            let unit = state.unit(self.ordinal);
            if unit.pebble {
                Ok(work(unit))
            } else {
                Err(PortError::Unreachable("Pebble", "no such socket".into()))
            }
        })
    }

    fn effect(&self, what: &str) {
        self.world.with(|state| state.effect(what));
    }
}

fn info(path: &str, file: &File) -> FileInfo {
    FileInfo {
        name: path.rsplit('/').next().unwrap_or(path).to_owned(),
        mode: file.mode,
        user: file.user.clone(),
        link: file.content == LINK,
    }
}

fn entry(name: &str) -> FileInfo {
    FileInfo {
        name: name.to_owned(),
        mode: 0o755,
        user: "root".into(),
        link: false,
    }
}

impl Workload for FakeWorkload<'_> {
    fn list(&self, directory: &str) -> PortResult<Option<Vec<FileInfo>>> {
        self.unit(|unit| match directory {
            "/usr/lib/postgresql" => (!unit.bare_image).then(|| vec![entry("15")]),
            "/usr/lib/postgresql/15/lib" => Some(vec![entry("pg_stat_statements.so")]),
            PGDATA if !unit.files.contains_key(PGDATA) && unit.volume.is_none() => None,
            PGDATA => Some(unit.volume.iter().map(|_| entry("PG_VERSION")).collect()),
            _ => Some(
                unit.files
                    .iter()
                    .filter(|(path, _)| path.rsplit_once('/').is_some_and(|(d, _)| d == directory))
                    .map(|(path, file)| info(path, file))
                    .collect(),
            ),
        })
    }

    fn stat(&self, path: &str) -> PortResult<Option<FileInfo>> {
        self.unit(|unit| match unit.files.get(path) {
            None if path == STORAGE => Some(entry("data")),
            found => found.map(|file| info(path, file)),
        })
    }

    fn pull(&self, path: &str) -> PortResult<Option<Vec<u8>>> {
        self.unit(|unit| {
            if path.ends_with("patroni/version.py") {
                return (!unit.bare_image).then(|| b"__version__ = '3.3.0'\n".to_vec());
            }
            unit.files.get(path).map(|file| file.content.clone())
        })
    }

    fn push(&self, path: &str, content: &[u8], mode: u32, owner: &str) -> PortResult<()> {
        self.unit(|unit| {
            let file = File {
                content: content.to_vec(),
                mode,
                user: owner.to_owned(),
            };
            unit.unread |= path.starts_with(STORAGE)
                && String::from_utf8_lossy(content).contains("CERTIFICATE");
            unit.files.insert(path.to_owned(), file);
        })?;
        self.effect(&format!("push {path}"));
        Ok(())
    }

    fn make_directory(&self, path: &str, mode: u32, owner: &str) -> PortResult<()> {
        self.unit(|unit| {
            let file = File {
                content: Vec::new(),
                mode,
                user: owner.to_owned(),
            };
            unit.files.entry(path.to_owned()).or_insert(file);
        })?;
        self.effect(&format!("mkdir {path}"));
        Ok(())
    }

    fn exec(&self, command: &[&str]) -> PortResult<Output> {
        let text = command.join(" ");
        let result = self.unit(|unit| match command {
            ["patroni", "--version"] => Err(PortError::Failed(
                "patroni".into(),
                "executable not found".into(),
            )),
            [server, "--version"] if server.ends_with("/postgres") => {
                Ok(printed("postgres (PostgreSQL) 15.18\n"))
            }
            ["env", "LC_ALL=C", _, directory] if *directory == PGDATA => {
                let id = unit.volume.as_ref().map_or("", |(id, _)| id);
                Ok(printed(&format!("Database system identifier: {id}\n")))
            }
            ["df", "-P", "-k", STORAGE] => {
                let used = unit.disk_used;
                let line = format!("/dev/x 1000 {used} 0 {used}% {STORAGE}");
                Ok(printed(&format!("Filesystem ...\n{line}\n")))
            }
            ["timeout", "3", "du", "-s", "-m", paths @ ..] => {
                let lines: Vec<String> = paths.iter().map(|path| format!("7\t{path}\n")).collect();
                Ok(printed(&lines.concat()))
            }
            ["sh", "-c", script] if *script == failure::NEWEST_LOG[2] => Ok(printed(&unit.log)),
            ["locale", "-a"] => Ok(printed("C\nC.utf8\nde_DE.utf8\nPOSIX\n")),
            ["test", "-f", path] => Ok(Output {
                code: i32::from(*path != "/usr/share/zoneinfo/Europe/Berlin"),
                ..printed("")
            }),
            ["chmod", mode, path] => {
                let mode = u32::from_str_radix(mode, 8).unwrap();
                unit.files.get_mut(*path).unwrap().mode = mode;
                Ok(printed(""))
            }
            ["rm", "-f", path] => {
                unit.files.remove(*path);
                Ok(printed(""))
            }
            ["rm", "-rf", top] => {
                let below = format!("{top}/");
                unit.files
                    .retain(|path, _| path != top && !path.starts_with(&below));
                Ok(printed(""))
            }
            ["cp", "-a", from, to] => {
                let from = from.strip_suffix('.').unwrap();
                let copied: Vec<_> = unit
                    .files
                    .iter()
                    .filter_map(|(path, file)| Some((path.strip_prefix(from)?, file)))
                    .map(|(name, file)| (format!("{to}/{name}"), file.clone()))
                    .collect();
                unit.files.extend(copied);
                Ok(printed(""))
            }
            ["ln", "-sfn", _, path] => {
                let link = File {
                    content: LINK.to_vec(),
                    mode: 0o777,
                    user: "root".into(),
                };
                unit.files.insert((*path).to_owned(), link);
                Ok(printed(""))
            }
            ["update-ca-certificates"] => {
                let own = "/usr/local/share/ca-certificates/ca-";
                let trusted = unit.files.iter().filter(|(path, _)| path.starts_with(own));
                unit.trusted = trusted.map(|(_, file)| file.content.clone()).collect();
                Ok(printed(""))
            }
            ["chown", "postgres:postgres", paths @ ..] => {
                for path in paths {
                    let directory = File {
                        content: Vec::new(),
                        mode: 0o755,
                        user: String::new(),
                    };
                    let file = unit.files.entry((*path).to_owned()).or_insert(directory);
                    file.user = "postgres".into();
                }
                Ok(printed(""))
            }
            _ => panic!("the container has no {text}"),
        })??;
        if matches!(
            command.first(),
            Some(&"chmod" | &"chown" | &"cp" | &"ln" | &"rm" | &"update-ca-certificates")
        ) {
            self.effect(&text);
        }
        Ok(result)
    }

    fn plan(&self) -> PortResult<pebble::Layer> {
        self.unit(|unit| {
            let mut plan = unit.layer.clone();
            plan.services.extend(unit.renewal.services.clone());
            plan
        })
    }

    fn add_layer(&self, label: &str, layer: &pebble::Layer) -> PortResult<()> {
        if matches!(label, "retry" | "missing") {
            return self.unit(|_| ());
        }
        if label == "renewal" {
            return self.unit(|unit| unit.renewal = layer.clone());
        }
        self.unit(|unit| unit.layer = layer.clone())?;
        self.effect("add layer");
        Ok(())
    }

    fn service(&self, name: &str) -> PortResult<Option<ServiceState>> {
        self.unit(|unit| {
            if name == "missing" {
                let runs = unit.timer && unit.timer_for_missing;
                return runs.then_some(ServiceState::Active);
            }
            unit.layer
                .services
                .contains_key(name)
                .then_some(match unit.service {
                    ServiceState::Absent => ServiceState::Inactive,
                    other => other,
                })
        })
    }

    fn run_check(&self, name: &str) -> PortResult<()> {
        self.unit(|unit| assert!(unit.layer.checks.contains_key(name)))?;
        self.effect(&format!("check {name}"));
        Ok(())
    }

    fn replan(&self) -> PortResult<()> {
        self.unit(|unit| {
            unit.replans += 1;
            if unit.service != ServiceState::Active {
                unit.service = ServiceState::Active;
                unit.starts += 1;
                unit.unread = false;
                unit.loaded = None;
                unit.before = None;
                unit.served = None;
            }
        })?;
        self.effect("replan");
        Ok(())
    }

    fn stop(&self, service: &str) -> PortResult<()> {
        if service == "missing" {
            return self.unit(|unit| (unit.timer, unit.timer_for_missing) = (false, false));
        }
        assert_eq!(service, "postgresql");
        self.unit(|unit| unit.service = ServiceState::Inactive)?;
        self.effect("stop postgresql");
        Ok(())
    }

    fn restart(&self, service: &str) -> PortResult<()> {
        if service == "retry" {
            return self.unit(|unit| (unit.timer, unit.timer_for_missing) = (true, false));
        }
        if service == "missing" {
            return self.unit(|unit| {
                unit.timer_for_missing |= !unit.timer;
                unit.timer = true;
            });
        }
        assert_eq!(service, "renewal");
        self.effect("set timer");
        self.unit(|unit| assert!(unit.renewal.services.contains_key(service)))
    }

    fn logs(&self, _: &str, _: u32) -> PortResult<String> {
        self.unit(|_| String::new())
    }

    fn signal(&self, _: &str, signal: &str) -> PortResult<()> {
        assert_eq!(signal, "SIGHUP");
        self.unit(|unit| {
            // What it is told twice within a loop it does once.
            unit.before = unit.loaded.take().or(unit.before.take());
            unit.unread = false;
        })?;
        self.effect("SIGHUP");
        Ok(())
    }
}
