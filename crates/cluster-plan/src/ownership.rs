//! Whose an object in Kubernetes is: whatever the charm makes, changes or deletes there is this
//! application's first, by its labels and its owners.

use std::collections::BTreeMap;
use std::fmt;

use crate::names::Names;

/// Label that Juju and the charm give the objects of an application.
pub const APP_LABEL: &str = "app.kubernetes.io/name";
/// Label that Juju gives what charms make.
pub const CREATED_BY_LABEL: &str = "app.juju.is/created-by";

/// What an object tells of where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Kind and name of each owner.
    pub owners: Vec<(String, String)>,
}

/// An object that has the name of one of this application's and is another's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Foreign {
    /// Kind and name.
    pub object: String,
    /// Whose it is; none where it does not tell.
    pub whose: Option<String>,
    /// Patroni would keep the cluster's state in it.
    pub registration: bool,
    /// Name of a Service in which there is still what this application had written.
    pub held: Option<String>,
}

/// What is wrong and what to do.
impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = &self.object;
        match &self.whose {
            Some(whose) => write!(f, "{object} belongs to {whose}: give one another name"),
            None => write!(f, "{object} is not this application's: delete or rename it"),
        }
    }
}

/// Whose it is, where it is not this application's: none where it is.
#[must_use]
pub fn foreign(names: &Names, object: &str, marks: &Marks) -> Option<Foreign> {
    let label = |key: &str| marks.labels.get(key).map(String::as_str);
    let other = |whose: Option<String>| {
        Some(Foreign {
            object: object.to_owned(),
            whose,
            registration: false,
            held: None,
        })
    };
    // Juju takes over what has the name of an application's own, with the owners that it had.
    if let Some(app) = label(APP_LABEL).filter(|app| *app != names.app()) {
        return other(Some(format!("application {app}")));
    }
    let scope = names.scope();
    if let Some(cluster) = label("cluster-name").filter(|cluster| *cluster != scope) {
        return other(Some(format!("cluster {cluster}")));
    }
    let owns = |(kind, name): &(String, String)| match kind.as_str() {
        // Of an earlier application of this name too: Kubernetes removes that object soon.
        "StatefulSet" => name == names.app(),
        "Pod" => names.member_named(name).is_some(),
        _ => false,
    };
    match marks.owners.first() {
        Some(_) if marks.owners.iter().any(owns) => None,
        Some((kind, name)) => other(Some(format!("{kind} {name}"))),
        None if label(APP_LABEL).is_some()
            || label("cluster-name").is_some()
            || label(CREATED_BY_LABEL) == Some(names.app()) =>
        {
            None
        }
        None => other(label(CREATED_BY_LABEL).map(|app| format!("application {app}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(
        clippy::option_option,
        reason = "foreign or not, and known whose or not"
    )]
    fn whose(labels: &[(&str, &str)], owners: &[(&str, &str)]) -> Option<Option<String>> {
        let text = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        let marks = Marks {
            labels: labels.iter().map(text).collect(),
            owners: owners.iter().map(text).collect(),
        };
        foreign(&Names::new("a", "m"), "Service a-primary", &marks).map(|found| found.whose)
    }

    #[test]
    fn what_this_application_or_an_earlier_life_of_it_made_is_ours() {
        let ours = [
            // As this charm and the Python charm make Services.
            whose(&[(APP_LABEL, "a")], &[("StatefulSet", "a")]),
            // As Juju makes its own.
            whose(
                &[(APP_LABEL, "a"), ("app.kubernetes.io/managed-by", "juju")],
                &[],
            ),
            // As Juju's webhook marks what a charm makes.
            whose(&[(CREATED_BY_LABEL, "a")], &[]),
            // As Patroni makes them, and as `stop` has given them an owner.
            whose(
                &[("application", "patroni"), ("cluster-name", "patroni-a")],
                &[],
            ),
            whose(&[("cluster-name", "patroni-a")], &[("StatefulSet", "a")]),
            // What goes with a pod.
            whose(&[(APP_LABEL, "a")], &[("Pod", "a-3")]),
        ];
        assert_eq!(ours, [const { None }; 6]);
    }

    #[test]
    fn what_another_application_or_a_person_made_is_not() {
        let other = |text: &str| Some(Some(text.to_owned()));
        let a_primary = other("application a-primary");
        assert_eq!(whose(&[(APP_LABEL, "a-primary")], &[]), a_primary);
        // Taken over by Juju, with the owners that it had.
        let taken = whose(&[(APP_LABEL, "a-primary")], &[("StatefulSet", "a")]);
        assert_eq!(taken, a_primary);
        assert_eq!(whose(&[(CREATED_BY_LABEL, "a-primary")], &[]), a_primary);
        let cluster = whose(&[("cluster-name", "patroni-b")], &[("StatefulSet", "a")]);
        assert_eq!(cluster, other("cluster patroni-b"));
        let owned = whose(&[(APP_LABEL, "a")], &[("Deployment", "shop")]);
        assert_eq!(owned, other("Deployment shop"));
        assert_eq!(whose(&[], &[("Pod", "b-0")]), other("Pod b-0"));
        assert_eq!(whose(&[], &[]), Some(None));
    }
}
