//! What Juju has of one unit, as a value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::secret::Secret;
use crate::status::Status;

/// Names and texts, as in a databag.
pub type Bag = BTreeMap<String, String>;

/// A bag from pairs.
#[must_use]
pub fn bag<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Bag {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    pairs.into_iter().map(owned).collect()
}

/// What Juju has of one unit before a hook, and after it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Whether the unit leads.
    pub leader: bool,
    /// Options that the operator set; the charm's defaults are added.
    pub config: BTreeMap<String, Value>,
    /// Relations, peer relations too.
    pub relations: Vec<Relation>,
    /// Secrets that the unit, its application or another application owns.
    pub secrets: Vec<Secret>,
    /// Storages of the unit.
    pub storages: Vec<Storage>,
    /// Workload containers. What runs in them is the charm's own matter.
    pub containers: Vec<Container>,
    /// Open ports, `5432/tcp`.
    pub opened_ports: BTreeSet<String>,
    /// The unit's status; none is `unknown`.
    pub unit_status: Option<Status>,
    /// The application's status; none is `unknown`.
    pub app_status: Option<Status>,
    /// The workload's version.
    pub workload_version: String,
    /// How many units the application is to have.
    pub planned_units: u32,
    /// Numbers of units that are on their way out; they come on top of the planned ones.
    pub dying_units: BTreeSet<u32>,
    /// Paths of resources that were fetched, by name.
    pub resources: BTreeMap<String, String>,
    /// Networks by binding; a binding that is not here has [`Network::default`].
    pub networks: BTreeMap<String, Network>,
    /// The model.
    pub model: Model,
    /// What the charm keeps with `state-set`.
    pub charm_state: Bag,
    /// What the charm keeps with `leader-set`.
    pub leader_settings: Bag,
}

impl Default for State {
    fn default() -> Self {
        Self {
            leader: false,
            config: BTreeMap::new(),
            relations: Vec::new(),
            secrets: Vec::new(),
            storages: Vec::new(),
            containers: Vec::new(),
            opened_ports: BTreeSet::new(),
            unit_status: None,
            app_status: None,
            workload_version: String::new(),
            planned_units: 1,
            dying_units: BTreeSet::new(),
            resources: BTreeMap::new(),
            networks: BTreeMap::new(),
            model: Model::default(),
            charm_state: Bag::new(),
            leader_settings: Bag::new(),
        }
    }
}

impl State {
    /// With leadership.
    #[must_use]
    pub fn leading(self) -> Self {
        Self {
            leader: true,
            ..self
        }
    }

    /// With an option set.
    #[must_use]
    pub fn with_config(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.config.insert(name.to_owned(), value.into());
        self
    }

    /// With a relation, in place of one of the same id.
    #[must_use]
    pub fn with_relation(mut self, relation: Relation) -> Self {
        self.relations.retain(|other| other.id != relation.id);
        self.relations.push(relation);
        self
    }

    /// With a secret, in place of one of the same id.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secrets.retain(|other| other.id != secret.id);
        self.secrets.push(secret);
        self
    }

    /// With a storage.
    #[must_use]
    pub fn with_storage(mut self, storage: Storage) -> Self {
        self.storages.push(storage);
        self
    }

    /// With a container, in place of one of the same name.
    #[must_use]
    pub fn with_container(mut self, name: &str, can_connect: bool) -> Self {
        self.containers.retain(|other| other.name != name);
        self.containers.push(Container {
            name: name.to_owned(),
            can_connect,
        });
        self
    }

    /// The relation of an id.
    #[must_use]
    pub fn relation(&self, id: u32) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.id == id)
    }

    /// The only, or first, relation of an endpoint.
    #[must_use]
    pub fn relation_of(&self, endpoint: &str) -> Option<&Relation> {
        let mut all = self.relations.iter();
        all.find(|relation| relation.endpoint == endpoint)
    }

    /// The secret of a label.
    #[must_use]
    pub fn secret(&self, label: &str) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.label == label)
    }

    pub(super) fn relation_mut(&mut self, id: u32) -> Option<&mut Relation> {
        self.relations.iter_mut().find(|relation| relation.id == id)
    }

    pub(super) fn secret_mut(&mut self, id: &str) -> Option<&mut Secret> {
        self.secrets.iter_mut().find(|secret| secret.id == id)
    }
}

/// A relation as this unit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its number, unique in the state.
    pub id: u32,
    /// Own endpoint.
    pub endpoint: String,
    /// The other application; none in a peer relation.
    pub remote_app: Option<String>,
    /// Own application's bag.
    pub local_app: Bag,
    /// Own unit's bag.
    pub local_unit: Bag,
    /// The other application's bag; empty in a peer relation.
    pub remote_app_bag: Bag,
    /// Bags of the other units, by number. In a peer relation these are the unit's peers.
    pub remote_units: BTreeMap<u32, Bag>,
    /// The model at the other end, if it is another one.
    pub remote_model_uuid: Option<String>,
}

/// What Juju itself writes into each unit's bag.
fn addresses() -> Bag {
    bag([
        ("egress-subnets", "192.0.2.0/32"),
        ("ingress-address", "192.0.2.0"),
        ("private-address", "192.0.2.0"),
    ])
}

impl Relation {
    /// A relation with another application, whose units are still to come.
    #[must_use]
    pub fn new(endpoint: &str, id: u32, remote_app: &str) -> Self {
        Self {
            remote_app: Some(remote_app.to_owned()),
            ..Self::peer(endpoint, id)
        }
    }

    /// A peer relation of a unit that is alone.
    #[must_use]
    pub fn peer(endpoint: &str, id: u32) -> Self {
        Self {
            id,
            endpoint: endpoint.to_owned(),
            remote_app: None,
            local_app: Bag::new(),
            local_unit: addresses(),
            remote_app_bag: Bag::new(),
            remote_units: BTreeMap::new(),
            remote_model_uuid: None,
        }
    }

    /// With entries in the own application's bag.
    #[must_use]
    pub fn local_app<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.local_app.extend(bag(pairs));
        self
    }

    /// With entries in the own unit's bag, beside those that Juju writes.
    #[must_use]
    pub fn local_unit<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.local_unit.extend(bag(pairs));
        self
    }

    /// With entries in the other application's bag.
    #[must_use]
    pub fn remote_app<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.remote_app_bag.extend(bag(pairs));
        self
    }

    /// With another unit and entries in its bag, beside those that Juju writes.
    #[must_use]
    pub fn unit<'a>(
        mut self,
        number: u32,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let entry = self.remote_units.entry(number).or_insert_with(addresses);
        entry.extend(bag(pairs));
        self
    }

    /// `endpoint:id`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.endpoint, self.id)
    }

    /// Whether it is a peer relation.
    #[must_use]
    pub fn is_peer(&self) -> bool {
        self.remote_app.is_none()
    }
}

/// A storage of the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its name in the metadata.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Where it is mounted.
    pub location: String,
}

impl Storage {
    /// A storage.
    #[must_use]
    pub fn new(name: &str, index: u32, location: &str) -> Self {
        Self {
            name: name.to_owned(),
            index,
            location: location.to_owned(),
        }
    }

    /// `name/index`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.name, self.index)
    }
}

/// A workload container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name in the metadata.
    pub name: String,
    /// Whether its Pebble answers.
    pub can_connect: bool,
}

/// Addresses of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The unit's own address.
    pub bind_address: String,
    /// The address that others reach it at.
    pub ingress_address: String,
    /// Where its connections come from.
    pub egress_subnets: Vec<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            bind_address: "192.0.2.0".to_owned(),
            ingress_address: "192.0.2.0".to_owned(),
            egress_subnets: vec!["192.0.2.0/32".to_owned()],
        }
    }
}

/// The model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// What `credential-get` tells; none where the application is not trusted.
    pub credential: Option<Value>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: "harness".to_owned(),
            uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
            credential: None,
        }
    }
}
