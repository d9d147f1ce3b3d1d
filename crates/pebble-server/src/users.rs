//! Whom a command or a file belongs to: names and numbers looked up in the container's databases.

use nix::unistd::{Gid, Group, Uid, User};

/// Who is asked for; empty texts count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub user_id: Option<u32>,
    pub user: String,
    pub group_id: Option<u32>,
    pub group: String,
}

impl Wanted {
    fn names_user(&self) -> bool {
        self.user_id.is_some() || !self.user.is_empty()
    }

    fn names_group(&self) -> bool {
        self.group_id.is_some() || !self.group.is_empty()
    }

    /// Takes what this one does not say from another.
    pub fn or(mut self, other: &Self) -> Self {
        if !self.names_user() && !self.names_group() {
            self.clone_from(other);
        }
        self
    }

    /// The numbers, or none where nobody is named; refusals are in Pebble's words.
    pub fn resolve(&self) -> Result<Option<Owner>, String> {
        let uid = self.uid()?;
        let gid = self.gid()?;
        match (uid, gid) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err("must specify user, not just group".to_owned()),
            (Some(uid), Some(gid)) => Ok(Some(Owner { uid, gid })),
            (Some(uid), None) => {
                let user = by_id(uid).ok_or_else(|| format!("user: unknown userid {uid}"))?;
                Ok(Some(Owner {
                    uid,
                    gid: user.gid.as_raw(),
                }))
            }
        }
    }

    fn uid(&self) -> Result<Option<u32>, String> {
        if self.user.is_empty() {
            return Ok(self.user_id);
        }
        let found = User::from_name(&self.user).ok().flatten();
        let found = found
            .ok_or_else(|| format!("user: unknown user {}", self.user))?
            .uid
            .as_raw();
        match self.user_id {
            Some(id) if id != found => Err(format!(
                "user \"{}\" UID ({found}) does not match user-id ({id})",
                self.user
            )),
            _ => Ok(Some(found)),
        }
    }

    fn gid(&self) -> Result<Option<u32>, String> {
        if self.group.is_empty() {
            return Ok(self.group_id);
        }
        let found = Group::from_name(&self.group).ok().flatten();
        let found = found
            .ok_or_else(|| format!("group: unknown group {}", self.group))?
            .gid
            .as_raw();
        match self.group_id {
            Some(id) if id != found => Err(format!(
                "group \"{}\" GID ({found}) does not match group-id ({id})",
                self.group
            )),
            _ => Ok(Some(found)),
        }
    }
}

/// A user and a group by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    /// Whether that is who runs this program.
    pub fn is_current(self) -> bool {
        self.uid == Uid::current().as_raw() && self.gid == Gid::current().as_raw()
    }
}

/// The entry of a user number.
pub(crate) fn by_id(uid: u32) -> Option<User> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten()
}

/// The name of a group number.
pub(crate) fn group_name(gid: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(gid))
        .ok()
        .flatten()
        .map(|group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_resolve_or_are_refused_in_pebbles_words() {
        let root = Wanted {
            user: "root".into(),
            ..Wanted::default()
        };
        assert_eq!(root.resolve(), Ok(Some(Owner { uid: 0, gid: 0 })));
        assert_eq!(Wanted::default().resolve(), Ok(None));
        let refused = |wanted: Wanted| wanted.resolve().unwrap_err();
        let group = Wanted {
            group: "root".into(),
            ..Wanted::default()
        };
        assert_eq!(refused(group), "must specify user, not just group");
        let other = Wanted {
            user_id: Some(1),
            ..root
        };
        assert_eq!(
            refused(other),
            "user \"root\" UID (0) does not match user-id (1)"
        );
        let unknown = Wanted {
            user: "no-such-one".into(),
            ..Wanted::default()
        };
        assert_eq!(refused(unknown), "user: unknown user no-such-one");
        let number = Wanted {
            user_id: Some(4_000_000),
            ..Wanted::default()
        };
        assert_eq!(refused(number), "user: unknown userid 4000000");
    }
}
