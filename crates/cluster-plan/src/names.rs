//! What everything is called: the names that follow from application, model and unit number.

use std::fmt;

/// Port of PostgreSQL.
pub const POSTGRESQL_PORT: u16 = 5432;
/// Port of Patroni's REST API.
pub const PATRONI_PORT: u16 = 8008;
/// Where the storage `pgdata` is mounted, in the workload and in the charm container.
pub const STORAGE: &str = "/var/lib/postgresql/data";
/// The data directory of PostgreSQL.
pub const PGDATA: &str = "/var/lib/postgresql/data/pgdata";
/// A socket directory on the volume that both containers mount: by it the charm reaches the
/// PostgreSQL of its own unit without a password.
pub const SHARED_SOCKETS: &str = "/var/lib/postgresql/data/run";
/// What PostgreSQL and Patroni log, kept when the container goes.
pub const LOGS: &str = "/var/lib/postgresql/data/logs";
/// Characters of a Service's name, by Kubernetes' own rule.
const LONGEST_SERVICE: usize = 63;

/// The names of one application in one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    app: String,
    model: String,
}

impl Names {
    /// Names of application `app` in model `model` (also the Kubernetes namespace).
    #[must_use]
    pub fn new(app: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            model: model.into(),
        }
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The model, which is the namespace.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Patroni's scope and `cluster-name` label.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("patroni-{}", self.app)
    }

    /// Host that the members use among each other: `<app>-<n>.<app>-endpoints`.
    #[must_use]
    pub fn host(&self, member: &Member) -> String {
        format!("{member}.{}-endpoints", self.app)
    }

    /// The same, fully qualified.
    #[must_use]
    pub fn fqdn(&self, member: &Member) -> String {
        format!("{}.{}.svc.cluster.local", self.host(member), self.model)
    }

    /// Name of a Service.
    #[must_use]
    pub fn service(&self, kind: ServiceKind) -> String {
        format!("{}-{kind}", self.app)
    }

    /// Name of the Service that leads there from outside Kubernetes.
    #[must_use]
    pub fn external_service(&self, kind: ServiceKind) -> String {
        format!("{}-external", self.service(kind))
    }

    /// Name of Juju's headless Service, by which the members' names resolve.
    #[must_use]
    pub fn headless(&self) -> String {
        format!("{}-endpoints", self.app)
    }

    /// Name of the Endpoints object that holds Patroni's dynamic configuration and the identifier of
    /// the cluster.
    #[must_use]
    pub fn config(&self) -> String {
        format!("{}-config", self.scope())
    }

    /// Name of the Endpoints object that holds Patroni's key of synchronous standbys.
    #[must_use]
    pub fn sync(&self) -> String {
        format!("{}-sync", self.scope())
    }

    /// Name of the account in Kubernetes by which the Patroni of a pod asks. No application of
    /// Juju's can be called so, and no later pod of that name gets the same.
    #[must_use]
    pub fn account(&self, pod: &Member, uid: &str) -> String {
        let uid: String = uid.chars().take(8).collect();
        format!("patroni.{pod}.{uid}")
    }

    /// Longest name that an application may have: Kubernetes takes this much for a Service's.
    #[must_use]
    pub fn longest(&self) -> usize {
        LONGEST_SERVICE.saturating_sub(self.headless().len() - self.app.len())
    }

    /// The same where the Services that lead there from outside are wanted too.
    #[must_use]
    pub fn longest_with_external(&self) -> usize {
        let suffix = self.external_service(ServiceKind::Replicas).len() - self.app.len();
        LONGEST_SERVICE.saturating_sub(suffix)
    }

    /// Whether Kubernetes takes this as a Service's name.
    #[must_use]
    pub fn names_service(name: &str) -> bool {
        name.len() <= LONGEST_SERVICE
    }

    /// Names of the Endpoints in which Patroni keeps the cluster's state.
    #[must_use]
    pub fn registrations(&self) -> Vec<String> {
        let scope = self.scope();
        let failover = format!("{scope}-failover");
        vec![scope, self.config(), self.sync(), failover]
    }

    /// Fully qualified name of a Service.
    #[must_use]
    pub fn service_fqdn(&self, kind: ServiceKind) -> String {
        format!("{}.{}.svc.cluster.local", self.service(kind), self.model)
    }

    /// The pod that carries member number `ordinal`.
    #[must_use]
    pub fn member(&self, ordinal: u32) -> Member {
        Member {
            app: self.app.clone(),
            ordinal,
        }
    }

    /// The member of a unit, `app/3`; none for a unit of another application.
    #[must_use]
    pub fn member_of_unit(&self, unit: &str) -> Option<Member> {
        let (app, ordinal) = unit.rsplit_once('/')?;
        (app == self.app).then(|| ordinal.parse().ok().map(|n| self.member(n)))?
    }

    /// The member whose host this is, `app-3.app-endpoints`.
    #[must_use]
    pub fn member_of_host(&self, host: &str) -> Option<Member> {
        let (name, service) = host.split_once('.')?;
        (service == self.headless()).then(|| self.member_named(name))?
    }

    /// The member that Patroni knows under this name, `app-3`.
    #[must_use]
    pub fn member_named(&self, name: &str) -> Option<Member> {
        let (app, ordinal) = name.rsplit_once('-')?;
        (app == self.app).then(|| ordinal.parse().ok().map(|n| self.member(n)))?
    }
}

/// A member of the cluster: a unit, its pod, and Patroni's name for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    app: String,
    ordinal: u32,
}

impl Member {
    /// Unit number, pod ordinal.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Juju's name, `app/3`.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("{}/{}", self.app, self.ordinal)
    }

    /// Patroni's name for its replication slot, `app_3`.
    #[must_use]
    pub fn slot(&self) -> String {
        let name = self.to_string();
        // Juju's names of applications have no characters but these, and Patroni cuts what is longer.
        let name = name.to_lowercase().replace(['-', '.'], "_");
        name.chars().take(63).collect()
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.app, self.ordinal)
    }
}

/// Where the charm's Services lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    /// Leads to the primary.
    Primary,
    /// Leads to the replicas.
    Replicas,
}

impl ServiceKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Replicas];
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Replicas => "replicas",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_application_model_and_ordinal() {
        let names = Names::new("my-db", "prod");
        let member = names.member(3);
        assert_eq!(member.to_string(), "my-db-3");
        assert_eq!(member.unit(), "my-db/3");
        assert_eq!(names.host(&member), "my-db-3.my-db-endpoints");
        assert_eq!(
            names.fqdn(&member),
            "my-db-3.my-db-endpoints.prod.svc.cluster.local"
        );
        assert_eq!(names.service(ServiceKind::Primary), "my-db-primary");
        assert_eq!(names.scope(), "patroni-my-db");
        assert_eq!(member.slot(), "my_db_3");
        assert_eq!(names.member_of_host(&names.host(&member)), Some(member));
    }

    #[test]
    fn a_name_is_too_long_where_a_service_could_not_have_it() {
        let names = Names::new("a".repeat(53), "m");
        assert_eq!(names.longest(), 53);
        assert!(Names::names_service(&names.headless()));
        assert_eq!(names.longest_with_external(), 45);
        let names = Names::new("a".repeat(46), "m");
        assert!(!Names::names_service(
            &names.external_service(ServiceKind::Replicas)
        ));
    }

    #[test]
    fn an_account_is_of_one_pod_and_of_no_application() {
        let names = Names::new("db", "m");
        let account = names.account(&names.member(1), "0a1b2c3d-4e5f");
        assert_eq!(account, "patroni.db-1.0a1b2c3d");
    }

    #[test]
    fn units_and_members_of_other_applications_are_not_ours() {
        let names = Names::new("db", "m");
        assert_eq!(names.member_of_unit("db/12"), Some(names.member(12)));
        assert_eq!(names.member_of_unit("other/1"), None);
        assert_eq!(names.member_of_unit("db"), None);
        assert_eq!(names.member_named("db-x"), None);
        assert_eq!(names.member_named("my-db-1"), None);
        for host in [
            "db-1",
            "db-1.other-endpoints",
            "db-x.db-endpoints",
            "'.db-endpoints",
        ] {
            assert_eq!(names.member_of_host(host), None, "{host}");
        }
    }
}
