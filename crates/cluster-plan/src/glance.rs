//! Whether a unit has anything to do when Juju tells it of another unit's databag.
//!
//! Juju tells each unit of every write of each other one, so what this costs grows with the square of
//! their number; and what the others write there concerns hardly anybody:
//!
//! | key | whose plan it goes into |
//! |---|---|
//! | `pgdata`, `disk` | the leader's: `PeerData::volumes`, `PeerData::disks` |
//! | `member`, `revision` | nobody's: they wake the leader, and the primary's unit, which look for themselves |
//! | `tls-state` | the leader's, that of a unit whose own certificates or authorities are changing, and anybody's where a unit has gone back to a revision without identities |
//!
//! That a unit has joined, which Juju tells by the same hook, goes into the leader's plan (`endpoints`,
//! and how many standbys commits wait for) and into the status of the primary's unit.
//!
//! So it is only as an occasion to look at other things that the hook could matter to any other unit.
//! It need not look where two things hold. What it said last, in databag and status, shows that its last
//! full look ended with nothing open, or with nothing but its member's start, of which Patroni's callback
//! tells. And its own server shows that this is still so. Whatever else that plan goes by has a hook of
//! its own (the application's databag, secrets, options, relations, the container, notices and checks
//! of its Pebble), or a timer that the look which has met it has set.
//!
//! Nothing is remembered for this: all of it is looked up in the hook that ends early by it.

use crate::status::{self, Status};

/// What a unit looks up before it decides whether to look at everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// This unit is Juju's leader.
    pub leader: bool,
    /// This unit's bag key `member`.
    pub announced: Option<String>,
    /// It has told something of its volume.
    pub filling: bool,
    /// By its own word it serves certificates, and trusts the authorities of these and no others: none
    /// of them is on its way in or out.
    pub settled: bool,
    /// Its status: word and message.
    pub said: (String, String),
    /// Its own PostgreSQL.
    pub server: Server,
}

/// A unit's own PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// A standby that streams.
    Streams,
    /// It takes no connection, and Patroni runs.
    Away,
    /// Anything else, or not known.
    Other,
}

impl Glance {
    /// Whether what another unit has written, or that it has joined, can be of any use to this one.
    #[must_use]
    pub fn concerns(&self) -> bool {
        let (word, message) = &self.said;
        let said = |wanted: &Status| word == wanted.word() && message == wanted.message();
        let idle = match (self.announced.as_deref(), self.server) {
            // As the last full look found it.
            (Some("replica"), Server::Streams) => said(&Status::Active(String::new())),
            // It comes up for the first time, and has not got so far.
            (None, Server::Away) => status::starting().iter().any(said),
            _ => false,
        };
        self.leader || self.filling || !self.settled || !idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby() -> Glance {
        Glance {
            leader: false,
            announced: Some("replica".into()),
            filling: false,
            settled: true,
            said: ("active".into(), String::new()),
            server: Server::Streams,
        }
    }

    fn starts() -> Glance {
        let said = "awaiting for cluster to start";
        Glance {
            announced: None,
            said: ("waiting".into(), said.into()),
            server: Server::Away,
            ..standby()
        }
    }

    #[test]
    fn a_standby_that_streams_and_a_member_that_starts_have_nothing_to_do() {
        assert!(!standby().concerns());
        assert!(!starts().concerns());
    }

    #[test]
    fn whoever_has_something_open_looks() {
        let open: [fn(&mut Glance); 4] = [
            |glance| glance.leader = true,
            |glance| glance.filling = true,
            |glance| glance.settled = false,
            |glance| glance.server = Server::Other,
        ];
        for change in open {
            for mut glance in [standby(), starts()] {
                change(&mut glance);
                assert!(glance.concerns(), "{glance:?}");
            }
        }
    }

    #[test]
    fn only_a_standby_that_has_told_so_is_left_alone_as_one() {
        for announced in [
            None,
            Some("replica, restart pending"),
            Some("primary, standbys: 2 stream, 2 synchronous"),
            Some("standby-leader"),
        ] {
            let announced = announced.map(str::to_owned);
            let glance = Glance {
                announced,
                ..standby()
            };
            assert!(glance.concerns(), "{glance:?}");
        }
        let came_down = Glance {
            server: Server::Away,
            ..standby()
        };
        assert!(came_down.concerns());
    }

    #[test]
    fn a_member_that_starts_looks_when_its_server_answers() {
        for server in [Server::Streams, Server::Other] {
            assert!(Glance { server, ..starts() }.concerns(), "{server:?}");
        }
        let restarts = Glance {
            announced: Some("replica".into()),
            ..starts()
        };
        assert!(restarts.concerns(), "its pod may be a new one");
    }

    #[test]
    fn a_status_that_tells_of_anything_else_is_looked_after() {
        for (word, message) in [
            ("waiting", "waiting for the leader's passwords"),
            ("waiting", "waiting for Pebble in container postgresql"),
            ("waiting", "awaiting for primary endpoint to be ready"),
            ("blocked", ""),
            ("blocked", "Configuration Error: x"),
            ("active", "Primary"),
            ("active", "storage 87 % full: 7 MB WAL"),
            ("unknown", ""),
        ] {
            for glance in [standby(), starts()] {
                let said = (word.to_owned(), message.to_owned());
                assert!(Glance { said, ..glance }.concerns(), "{word} {message}");
            }
        }
    }
}
