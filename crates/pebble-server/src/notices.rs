//! Notices: what happened, how often, and who may see it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::daemon::Daemon;
use crate::duration::GoDuration;
use crate::time::Time;

const EXPIRES: SignedDuration = SignedDuration::from_hours(168);
const KEPT: usize = 1000;

/// A notice: one per user, type and key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Notice {
    pub id: String,
    pub user_id: Option<u32>,
    #[serde(rename = "type")]
    pub kind: String,
    pub key: String,
    first_occurred: Time,
    last_occurred: Time,
    pub last_repeated: Time,
    occurrences: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    last_data: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeat_after: Option<GoDuration>,
    expire_after: GoDuration,
}

impl Notice {
    fn is_live(&self, time: Time) -> bool {
        time < self.last_occurred.later(EXPIRES)
    }
}

/// Which notices are asked for; what is empty does not restrict.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Those of this user and the public ones; none for those of everybody.
    pub user: Option<u32>,
    pub types: Vec<String>,
    pub keys: Vec<String>,
    pub after: Option<Time>,
}

impl Filter {
    fn fits(&self, notice: &Notice) -> bool {
        (self.user.is_none() || notice.user_id.is_none() || notice.user_id == self.user)
            && (self.types.is_empty() || self.types.contains(&notice.kind))
            && (self.keys.is_empty() || self.keys.contains(&notice.key))
            && self.after.is_none_or(|after| notice.last_repeated > after)
    }
}

/// All notices that are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notices {
    last: u64,
    all: Vec<Notice>,
}

impl Notices {
    /// Records an occurrence: the notice's id.
    pub fn record(
        &mut self,
        user: Option<u32>,
        kind: &str,
        key: &str,
        data: BTreeMap<String, String>,
        repeat_after: Option<GoDuration>,
    ) -> String {
        let time = Time::now();
        let same = |n: &&mut Notice| n.user_id == user && n.kind == kind && n.key == key;
        if let Some(notice) = self.all.iter_mut().find(same) {
            let pause = repeat_after.map_or(Duration::ZERO, GoDuration::std);
            let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
            let due = time > notice.last_repeated.later(pause);
            notice.occurrences += 1;
            notice.last_occurred = time;
            notice.last_data = data;
            notice.repeat_after = repeat_after;
            if due || pause.is_zero() {
                notice.last_repeated = time;
            }
            return notice.id.clone();
        }
        self.last += 1;
        let id = self.last.to_string();
        self.all.push(Notice {
            id: id.clone(),
            user_id: user,
            kind: kind.to_owned(),
            key: key.to_owned(),
            first_occurred: time,
            last_occurred: time,
            last_repeated: time,
            occurrences: 1,
            last_data: data,
            repeat_after,
            expire_after: GoDuration::from_secs(168 * 3600),
        });
        if self.all.len() > KEPT {
            let oldest = self
                .all
                .iter()
                .enumerate()
                .min_by_key(|(_, notice)| notice.last_occurred);
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.all.remove(at);
            }
        }
        id
    }

    /// Those that fit, by the time of their last repetition.
    pub fn list(&self, filter: &Filter) -> Vec<&Notice> {
        let time = Time::now();
        let mut found: Vec<&Notice> = self
            .all
            .iter()
            .filter(|n| n.is_live(time) && filter.fits(n))
            .collect();
        found.sort_by_key(|notice| notice.last_repeated);
        found
    }

    pub fn get(&self, id: &str) -> Option<&Notice> {
        let time = Time::now();
        self.all
            .iter()
            .find(|notice| notice.id == id && notice.is_live(time))
    }

    /// Drops what has expired, and what tells of changes that are gone.
    pub fn prune(&mut self, gone: &[u64]) {
        let time = Time::now();
        let gone: Vec<String> = gone.iter().map(u64::to_string).collect();
        self.all.retain(|notice| {
            notice.is_live(time) && !(notice.kind == "change-update" && gone.contains(&notice.key))
        });
    }
}

impl Daemon {
    /// Records a user's notice: its id.
    pub fn notify(
        &self,
        user: u32,
        key: &str,
        data: BTreeMap<String, String>,
        repeat_after: Option<GoDuration>,
    ) -> String {
        let id = self
            .state()
            .notices
            .record(Some(user), "custom", key, data, repeat_after);
        self.notices.send_modify(|version| *version += 1);
        self.dirty.notify_one();
        id
    }
}

/// `example.com/path`: words of lower-case letters, digits and single hyphens, the domain with at
/// least one dot.
pub(crate) fn is_key(key: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let word = |word: &str| word.split('-').all(part);
    match key.split_once('/') {
        Some((domain, path)) => {
            domain.contains('.') && domain.split('.').all(word) && path.split('/').all(word)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_a_domain_and_a_path() {
        for good in ["postgresql-k8s.charm/patroni", "a.b/c/d-e", "1.2/3"] {
            assert!(is_key(good), "{good}");
        }
        for bad in [
            "x/y", "a.b", "A.b/c", "a.b/", "a..b/c", "a.b/-c", "a.b/c--d", "", "a.b//c",
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }

    #[test]
    fn an_occurrence_repeats_only_after_its_pause() {
        let mut notices = Notices::default();
        let hour = Some(GoDuration::from_secs(3600));
        let id = notices.record(Some(1), "custom", "a.b/c", BTreeMap::new(), hour);
        let first = notices.get(&id).unwrap().last_repeated;
        assert_eq!(
            notices.record(Some(1), "custom", "a.b/c", BTreeMap::new(), hour),
            id
        );
        let notice = notices.get(&id).unwrap();
        assert_eq!((notice.occurrences, notice.last_repeated), (2, first));
        notices.record(Some(1), "custom", "a.b/c", BTreeMap::new(), None);
        assert!(notices.get(&id).unwrap().last_repeated > first);
        assert_ne!(
            notices.record(Some(2), "custom", "a.b/c", BTreeMap::new(), None),
            id
        );
        let of_two = Filter {
            user: Some(2),
            ..Filter::default()
        };
        assert_eq!(notices.list(&of_two).len(), 1);
        assert_eq!(notices.list(&Filter::default()).len(), 2);
    }

    #[test]
    fn the_oldest_notice_makes_room() {
        let mut notices = Notices::default();
        for number in 0..=KEPT {
            notices.record(
                None,
                "custom",
                &format!("a.b/{number}"),
                BTreeMap::new(),
                None,
            );
        }
        assert_eq!(notices.list(&Filter::default()).len(), KEPT);
        assert!(notices.get("1").is_none());
    }
}
