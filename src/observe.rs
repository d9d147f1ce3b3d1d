//! Observation: asks Juju, Pebble, Kubernetes, Patroni and PostgreSQL for what a plan needs, and
//! works out what their files and settings should be.

pub mod cluster;
pub mod database;
pub mod disk;
pub mod failure;
pub mod follow;
pub mod guests;
pub mod identity;
pub mod juju;
pub mod kubernetes;
pub mod tls;
pub mod trust;
pub mod workload;

use cluster_plan::disk::{Level, Thresholds};
use cluster_plan::membership::{self, Bootstrap};
use cluster_plan::names::Member;
use cluster_plan::observed::{Observed, PatroniVersion, ServiceState, Workload};
use cluster_plan::options::{Config, Machine, OptionError, Parameters};
use cluster_plan::planner::Desired;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tls_interface::Identified;

use self::juju::JujuFacts;
use crate::layer;
use crate::ports::{PortResult, Ports};
use crate::render::{self, File, PatroniFile, RenderError};

/// When to look how full the volume is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LookAtVolume {
    /// While it is filling; Pebble's checks tell when that begins.
    #[default]
    WhileItFills,
    /// In any case.
    Now,
}

/// How far a hook looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope {
    /// The workload may be another than before: look up its version.
    pub workload_version: bool,
    /// Look into the database even if the cluster is set up.
    pub database: bool,
    /// Compare Patroni's dynamic configuration.
    pub dynamic: bool,
    /// Look how full the volume is.
    pub volume: LookAtVolume,
}

/// What was seen, what is wanted, and the content of what may have to be pushed.
pub struct Observation {
    /// The facts.
    pub observed: Observed,
    /// The operator's wishes.
    pub desired: Desired,
    /// Files as they should be.
    pub files: Vec<File>,
    /// The layer as it should be.
    pub layer: pebble::Layer,
    /// The label of the leader's pod.
    pub leader_label: &'static str,
    /// Certificates.
    pub tls: tls::Look,
}

impl Observation {
    /// The authorities that clients have to trust, as PEM; none where PostgreSQL serves no
    /// provider's certificate.
    #[must_use]
    pub fn clients_authorities(&self) -> Option<&SecretString> {
        let file = self.files.iter().find(|file| file.path == tls::SERVER_CA)?;
        self.tls.from_provider.then_some(&file.content)
    }
}

/// Looks at everything that the hook's scope asks for.
///
/// # Errors
/// Only for a defect of the charm's own templates: what doesn't answer is a fact like any other.
pub fn observe(
    juju: &JujuFacts,
    ports: &Ports<'_>,
    scope: Scope,
) -> Result<Observation, RenderError> {
    let me = &juju.me;
    // Until there is a cluster, what lies on the volumes decides who may bootstrap it.
    let initialised = juju.initialised();
    let image = workload::image(ports.workload, scope.workload_version, !initialised);
    let leader_label = patroni_version(&image).map_or("primary", PatroniVersion::leader_label);
    let down = image
        .as_ref()
        .is_ok_and(|(_, facts)| facts.service != ServiceState::Active);
    let (kubernetes, machine) = kubernetes::look(juju, ports.kubernetes, leader_label, down);
    let config = options(juju, ports, &image, machine.as_ref());
    let (config, parameters) = match config {
        Ok((config, parameters)) => (Ok(config), parameters),
        Err(errors) => (Err(errors), None),
    };
    let mut observed = Observed {
        names: juju.names.clone(),
        me: me.clone(),
        leader: juju.leader,
        counted: juju.counted,
        planned: juju.planned,
        units: juju.units.clone(),
        peers: juju.peers.clone(),
        leaving: juju.leaving.clone(),
        peer_data: juju.peer_data.clone(),
        passwords: juju
            .passwords
            .as_ref()
            .map(crate::secrets::Passwords::users),
        given: juju.given(),
        workload: Workload::Unreachable(String::new()),
        kubernetes: Some(kubernetes),
        cluster: None,
        database: None,
        shut_out: false,
        sync_key: None,
        following: None,
        unserved_relations: juju.unserved_relations.clone(),
        tls: None,
    };
    let major = image.as_ref().ok().and_then(|(image, _)| image.major);
    let thresholds = thresholds(&config);
    let external = juju
        .peer_data
        .as_ref()
        .is_some_and(|data| !data.external.is_empty());
    let layer = layer::layer(&juju.names, me, leader_label, major, thresholds, external);
    let (image, facts) = match image {
        Ok((image, facts)) => (image, facts),
        Err(error) => {
            observed.workload = Workload::Unreachable(error.chain());
            observed.cluster = cluster::look(juju, ports.members, false);
            let desired = desired(config, Map::new(), scope);
            let (tls, seen) = tls::first(juju, ports.clock.now());
            observed.tls = seen;
            return Ok(Observation {
                observed,
                desired,
                files: vec![],
                layer,
                leader_label,
                tls,
            });
        }
    };
    observed.workload = Workload::Up(Box::new(facts));
    let dynamic = match (&config, &parameters) {
        (Ok(config), Some(parameters)) => dynamic(config, parameters, juju.planned),
        _ => Map::new(),
    };
    let mut tls = certificates(juju, ports, &mut observed);
    let files = files(
        juju,
        &observed,
        (&image, &mut tls),
        (parameters.as_ref(), &dynamic),
        (ports, scope.database),
    )?;
    if let Workload::Up(facts) = &mut observed.workload
        && let Err(error) = workload::compare(ports.workload, facts, &files, &layer)
    {
        observed.workload = Workload::Unreachable(error.chain());
    }
    look_at_volume(juju, ports, (scope.volume, thresholds), &mut observed);
    observed.cluster = cluster::look(juju, ports.members, scope.dynamic && juju.keeps_policy());
    tls::look_at_served(juju, ports, &files, &mut observed);
    identity::look_at_read(ports, &mut observed);
    look_at_account(juju, ports, scope.volume, &mut observed);
    if scope.database || juju.peer_data.is_some() && !initialised {
        look_into_database(juju, ports, &mut observed);
        observed.following = follow::look(juju, &observed, ports, image.major);
    }
    failure::look(ports.workload, &mut observed);
    observed.sync_key = kubernetes::look_at_sync_key(juju, ports.kubernetes, &observed);
    Ok(Observation {
        desired: desired(config, dynamic, scope),
        observed,
        files,
        layer,
        leader_label,
        tls,
    })
}

fn look_into_database(juju: &JujuFacts, ports: &Ports<'_>, observed: &mut Observed) {
    match database::look(juju, observed, ports.database) {
        Ok(facts) => observed.database = facts,
        Err(database::Refusal::ShutOut) => observed.shut_out = true,
        Err(database::Refusal::Silent) => {
            if let Some(view) = &mut observed.cluster {
                view.silent = true;
            }
        }
    }
    if observed.database.is_some() {
        let settings = database::settings(juju, observed, ports.database);
        if let Some(database) = &mut observed.database {
            database.settings = settings;
        }
    }
}

/// What is wanted of certificates.
fn certificates(juju: &JujuFacts, ports: &Ports<'_>, observed: &mut Observed) -> tls::Look {
    let (look, seen) = match tls::look(juju, ports, address(observed)) {
        Ok(looked) => looked,
        Err(error) => {
            observed.workload = Workload::Unreachable(error.chain());
            tls::first(juju, ports.clock.now())
        }
    };
    observed.tls = seen;
    look
}

/// How full the volume is, where that is asked for or was worth telling last time.
fn look_at_volume(
    juju: &JujuFacts,
    ports: &Ports<'_>,
    (look, thresholds): (LookAtVolume, Thresholds),
    observed: &mut Observed,
) {
    let told = juju.peer_data.as_ref().map(|data| data.disk.level);
    if let Workload::Up(facts) = &mut observed.workload
        && (look == LookAtVolume::Now || told.is_some_and(|level| level != Level::Fine))
    {
        facts.disk = disk::look(ports, thresholds.warning);
    }
}

/// Whether the account by which a running Patroni asks Kubernetes is still there: where nobody leads,
/// and now and then, as nobody tells.
fn look_at_account(
    juju: &JujuFacts,
    ports: &Ports<'_>,
    look: LookAtVolume,
    observed: &mut Observed,
) {
    let view = observed.cluster.as_ref();
    let led = view.is_some_and(|view| view.primary().is_some());
    if !juju.initialised() || led && look != LookAtVolume::Now {
        return;
    }
    if let Workload::Up(facts) = &mut observed.workload
        && facts.service == ServiceState::Active
    {
        match ports
            .kubernetes
            .patroni_access_stands(&juju.names, &juju.me)
        {
            Ok(stands) => facts.account_missing = !stands,
            Err(error) => tracing::warn!("cannot look at Patroni's account: {}", error.chain()),
        }
    }
}

/// The options and the parameters that follow from them, or what is wrong with them.
fn options(
    juju: &JujuFacts,
    ports: &Ports<'_>,
    image: &PortResult<(workload::Image, cluster_plan::observed::WorkloadFacts)>,
    machine: Option<&Machine>,
) -> Result<(Config, Option<Parameters>), Vec<OptionError>> {
    let config = Config::new(&juju.config)?;
    let unmet = config.unmet_extensions();
    if !unmet.is_empty() {
        return Err(unmet);
    }
    let patroni = patroni_version(image);
    if let Some(error) = patroni.and_then(|patroni| config.too_new_for(patroni)) {
        return Err(vec![error]);
    }
    let refused = image
        .as_ref()
        .map(|(image, _)| workload::refused(ports.workload, image, &config));
    match refused {
        Ok(Ok(refused)) if !refused.is_empty() => return Err(refused),
        Ok(Err(error)) => tracing::warn!("cannot look into the image: {}", error.chain()),
        _ => {}
    }
    // Without the machine's size nothing can be computed; it is asked for again next time.
    let mut parameters = machine.map(|m| config.parameters(m)).transpose()?;
    if let (Ok((image, _)), Some(parameters)) = (image, &mut parameters)
        && image.small_shm
    {
        let name = "dynamic_shared_memory_type".to_owned();
        parameters.local.insert(name, json!("sysv"));
    }
    Ok((config, parameters))
}

/// Own pod's address, where Kubernetes tells.
fn address(observed: &Observed) -> Option<&str> {
    match &observed.kubernetes {
        Some(cluster_plan::observed::Kubernetes::Answers(facts)) => facts.address.as_deref(),
        _ => None,
    }
}

/// Those of the options; the defaults while these are wrong.
fn thresholds(config: &Result<Config, Vec<OptionError>>) -> Thresholds {
    config.as_ref().map(Config::thresholds).unwrap_or_default()
}

fn desired(
    config: Result<Config, Vec<OptionError>>,
    dynamic: Map<String, Value>,
    scope: Scope,
) -> Desired {
    Desired {
        thresholds: thresholds(&config),
        config,
        dynamic,
        publish_version: scope.workload_version,
    }
}

fn patroni_version(
    image: &PortResult<(workload::Image, cluster_plan::observed::WorkloadFacts)>,
) -> Option<PatroniVersion> {
    image.as_ref().ok().and_then(|(_, facts)| facts.patroni)
}

/// Patroni's dynamic configuration as it should be.
fn dynamic(config: &Config, parameters: &Parameters, planned: u32) -> Map<String, Value> {
    let mut wanted = membership::sync_settings(config, planned);
    wanted.insert(
        "postgresql".into(),
        json!({"parameters": parameters.dynamic}),
    );
    wanted
}

/// The files as they should be; none of `patroni.yml` while something that it needs is missing.
fn files(
    juju: &JujuFacts,
    observed: &Observed,
    (image, tls): (&workload::Image, &mut tls::Look),
    (parameters, dynamic): (Option<&Parameters>, &Map<String, Value>),
    (ports, look): (&Ports<'_>, bool),
) -> Result<Vec<File>, RenderError> {
    let mut files = render::scripts();
    files.push(render::callback(&others(juju), image.major));
    files.push(render::watch(image.major));
    let (Some(passwords), Some(parameters), Some(major)) =
        (&juju.passwords, parameters, image.major)
    else {
        return Ok(files);
    };
    if cluster_plan::observed::SystemUser::GENERATED
        .iter()
        .any(|user| passwords.get(*user).is_none())
    {
        return Ok(files);
    }
    let may = membership::bootstrap(observed) == Bootstrap::May;
    let trusts = !tls.files.is_empty();
    files.append(&mut tls.files);
    files.push(render::patroni_yml(&PatroniFile {
        names: &juju.names,
        me: &juju.me,
        passwords,
        parameters,
        bootstrap: may.then_some(dynamic),
        major,
        preload: &image.preload,
        guests: &guests::rules(juju, ports, look),
        tls: trusts.then_some(render::Tls {
            serves: tls.serves,
            from_provider: tls.from_provider,
            demands: tls.announcement.identified == Identified::Demands,
        }),
    })?);
    Ok(files)
}

/// The other members, as the leader lists them: every unit is told when that list changes.
fn others(juju: &JujuFacts) -> Vec<Member> {
    let listed = juju.peer_data.iter().flat_map(|data| &data.endpoints);
    listed
        .filter_map(|host| juju.names.member_of_host(host))
        .filter(|member| *member != juju.me)
        .collect()
}

/// The hosts of all members, own first.
#[must_use]
pub fn member_hosts(juju: &JujuFacts) -> Vec<String> {
    let mut members: Vec<&Member> = vec![&juju.me];
    members.extend(juju.peers.iter());
    members
        .into_iter()
        .map(|member| juju.names.host(member))
        .collect()
}

/// What the pod may use, where Kubernetes tells.
pub type MachineSize = Option<Machine>;
