//! Drives a real server, with real processes, over its socket.

#[cfg(test)]
mod access;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod files;
#[cfg(test)]
mod life;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod services;
#[cfg(test)]
mod support;
