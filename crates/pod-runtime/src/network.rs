//! The network of a model: a bridge in a namespace of its own, a namespace for each pod, and
//! Services as address translation in each of them. Models reach each other as namespaces of one
//! cluster do: a cable between each two of their namespaces, and routes over it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use nix::sched::{CloneFlags, setns};

use crate::{Error, tool};

/// Address of the API server, as pods know it.
pub const API_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 152, 183, 1);
/// Address of the name server.
pub const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 152, 183, 10);

/// A port of a Service and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Address of the Service, or of the node.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Pods that take it, with their port.
    pub endpoints: Vec<(Ipv4Addr, u16)>,
}

/// A pod's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetwork {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its network namespace.
    pub namespace: String,
}

/// The network of one model.
#[derive(Debug)]
pub struct Network {
    namespace: String,
    number: u8,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    pods: BTreeMap<String, Ipv4Addr>,
    table: String,
    cuts: BTreeMap<String, BTreeSet<Ipv4Addr>>,
}

impl Network {
    /// Makes the network `jl-<id>`, whose pods have addresses `10.<number>.x.y`.
    ///
    /// # Errors
    /// Without root, or where the kernel lacks something.
    pub fn create(id: &str, number: u8) -> Result<Self, Error> {
        let namespace = format!("jl-{id}");
        tool(
            "make the model's network",
            "ip",
            &["netns", "add", &namespace],
            "",
        )?;
        let gateway = gateway(number);
        let script = format!(
            "link set lo up\n\
             link add br0 address 02:00:0a:01:00:01 type bridge\n\
             addr add {gateway}/16 dev br0\n\
             link set br0 up\n\
             route add 10.152.183.0/24 dev br0\n\
             addr add {API_ADDRESS}/32 dev lo\n\
             addr add {DNS_ADDRESS}/32 dev lo\n"
        );
        let args = ["-n", &namespace, "-batch", "-"];
        tool("make the model's bridge", "ip", &args, &script)?;
        // For what goes to another model.
        within(&namespace, || {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
        })?;
        Ok(Self {
            namespace,
            number,
            state: Mutex::default(),
        })
    }

    /// Connects this network with another one of another number, both ways.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn join(&self, other: &Self) -> Result<(), Error> {
        let (a, b) = (self.number, other.number);
        let cable = format!(
            "link add m{b} type veth peer name m{a} netns {}\n",
            other.namespace
        );
        let args = ["-n", &self.namespace, "-batch", "-"];
        tool("connect two models", "ip", &args, &cable)?;
        for (network, near, far) in [(self, a, b), (other, b, a)] {
            let script = format!(
                "addr add 169.254.{near}.{far} peer 169.254.{far}.{near} dev m{far}\n\
                 link set m{far} up\n\
                 route add 10.{far}.0.0/16 via 169.254.{far}.{near} dev m{far}\n"
            );
            let args = ["-n", &network.namespace, "-batch", "-"];
            tool("set the addresses between two models", "ip", &args, &script)?;
        }
        Ok(())
    }

    /// The machine's address in this network: that of the node on which its pods are.
    #[must_use]
    pub fn node(&self) -> Ipv4Addr {
        gateway(self.number)
    }

    /// Name of the model's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a pod a namespace and an address that none had before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add_pod(&self) -> Result<PodNetwork, Error> {
        let (number, table) = {
            let mut state = self.state();
            state.next += 1;
            (state.next, state.table.clone())
        };
        let [high, low] = u16::try_from(number)
            .unwrap_or(u16::MAX)
            .saturating_add(9)
            .to_be_bytes();
        let address = Ipv4Addr::new(10, self.number, high, low);
        let gateway = gateway(self.number);
        let namespace = format!("{}-{number}", self.namespace);
        tool(
            "make a pod's network",
            "ip",
            &["netns", "add", &namespace],
            "",
        )?;
        let outside = format!(
            "link add v{number} type veth peer name eth0 netns {namespace}\n\
             link set v{number} master br0\n\
             link set v{number} up\n"
        );
        let args = ["-n", &self.namespace, "-batch", "-"];
        tool("connect a pod to the bridge", "ip", &args, &outside)?;
        let inside = format!(
            "link set lo up\n\
             addr add {address}/16 dev eth0\n\
             link set eth0 up\n\
             route add default via {gateway}\n"
        );
        tool(
            "set a pod's address",
            "ip",
            &["-n", &namespace, "-batch", "-"],
            &inside,
        )?;
        if !table.is_empty() {
            apply(&namespace, &table)?;
        }
        self.state().pods.insert(namespace.clone(), address);
        Ok(PodNetwork { address, namespace })
    }

    /// Takes a pod's namespace away.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_pod(&self, pod: &PodNetwork) -> Result<(), Error> {
        {
            let mut state = self.state();
            state.pods.remove(&pod.namespace);
            state.cuts.remove(&pod.namespace);
        }
        tool(
            "remove a pod's network",
            "ip",
            &["netns", "del", &pod.namespace],
            "",
        )
        .map(drop)
    }

    /// Lets the addresses of Services lead to their endpoints, in every namespace of the model.
    ///
    /// # Errors
    /// When a namespace could not be changed; the others are.
    pub fn set_services(&self, ports: &[ServicePort]) -> Result<(), Error> {
        let table = table(ports);
        let mut namespaces = vec![self.namespace.clone()];
        {
            let mut state = self.state();
            if state.table == table {
                return Ok(());
            }
            state.table.clone_from(&table);
            namespaces.extend(state.pods.keys().cloned());
        }
        let mut result = Ok(());
        for namespace in namespaces {
            // A pod may have gone meanwhile.
            if self.is_gone(&namespace) {
                continue;
            }
            if let Err(error) = apply(&namespace, &table) {
                result = Err(error);
            }
        }
        result
    }

    fn is_gone(&self, namespace: &str) -> bool {
        namespace != self.namespace && !self.state().pods.contains_key(namespace)
    }

    /// Cuts a pod off from these addresses, or from everybody if there are none; both ways.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(&self, pod: &PodNetwork, from: &[Ipv4Addr]) -> Result<(), Error> {
        let addresses = {
            let mut state = self.state();
            let cuts = state.cuts.entry(pod.namespace.clone()).or_default();
            cuts.extend(from.iter().copied());
            cuts.clone()
        };
        let rule = |direction: &str| {
            if from.is_empty() {
                return "oifname != \"lo\" iifname != \"lo\" drop".to_owned();
            }
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("ip {direction} {{ {} }} drop", list.join(", "))
        };
        let (outgoing, incoming) = if from.is_empty() {
            (
                "oifname != \"lo\" drop".to_owned(),
                "iifname != \"lo\" drop".to_owned(),
            )
        } else {
            (rule("daddr"), rule("saddr"))
        };
        let script = format!(
            "table ip faults {{}}\ndelete table ip faults\n\
             table ip faults {{\n\
             chain out {{ type filter hook output priority -10; {outgoing}; }}\n\
             chain in {{ type filter hook input priority -10; {incoming}; }}\n}}\n"
        );
        apply(&pod.namespace, &script)
    }

    /// Loses so many of a hundred packets to and from a pod.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn lose(&self, pod: &PodNetwork, percent: u8) -> Result<(), Error> {
        self.state().cuts.entry(pod.namespace.clone()).or_default();
        let drop = format!("numgen random mod 100 < {percent} drop");
        let script = format!(
            "table ip loss {{}}\ndelete table ip loss\n\
             table ip loss {{\n\
             chain out {{ type filter hook output priority -10; oifname != \"lo\" {drop}; }}\n\
             chain in {{ type filter hook input priority -10; iifname != \"lo\" {drop}; }}\n}}\n"
        );
        apply(&pod.namespace, &script)
    }

    /// Heals all cuts, and no packets are lost any more.
    ///
    /// # Errors
    /// When the kernel refuses for one of them; the others are healed.
    pub fn heal(&self) -> Result<(), Error> {
        let cuts = std::mem::take(&mut self.state().cuts);
        let script = "table ip faults {}\ndelete table ip faults\n\
                      table ip loss {}\ndelete table ip loss\n";
        let mut result = Ok(());
        for namespace in cuts.keys() {
            if let Err(error) = apply(namespace, script)
                && !self.is_gone(namespace)
            {
                result = Err(error);
            }
        }
        result
    }

    /// A TCP socket that listens in the model's namespace.
    ///
    /// # Errors
    /// When the address can't be had.
    pub fn listen_tcp(&self, address: SocketAddr) -> Result<TcpListener, Error> {
        within(&self.namespace, move || TcpListener::bind(address))
    }

    /// A UDP socket in the model's namespace.
    ///
    /// # Errors
    /// When the address can't be had.
    pub fn bind_udp(&self, address: SocketAddr) -> Result<UdpSocket, Error> {
        within(&self.namespace, move || UdpSocket::bind(address))
    }

    /// A connection from inside a pod, for probes.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect_in(
        pod: &PodNetwork,
        address: SocketAddr,
        limit: std::time::Duration,
    ) -> Result<std::net::TcpStream, Error> {
        within(&pod.namespace, move || {
            std::net::TcpStream::connect_timeout(&address, limit)
        })
    }
}

fn gateway(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, number, 0, 1)
}

/// Does something in another network namespace, in a thread of its own: a thread that has entered
/// one is not to be used for anything else.
fn within<T: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let what = format!("open a socket in {namespace}");
    let path = format!("/run/netns/{namespace}");
    let thread = std::thread::spawn(move || {
        let file = File::open(path)?;
        setns(file, CloneFlags::CLONE_NEWNET)?;
        work()
    });
    match thread.join() {
        Ok(result) => result.map_err(|source| Error::system(what, source)),
        Err(_) => Err(Error::Tool {
            what,
            text: "the thread broke".to_owned(),
        }),
    }
}

fn apply(namespace: &str, script: &str) -> Result<(), Error> {
    let args = ["netns", "exec", namespace, "nft", "-f", "-"];
    tool("set a namespace's packet rules", "ip", &args, script).map(drop)
}

/// The rules that stand for Services: a random endpoint each time, and a refusal where there is
/// none, as kube-proxy does it. What comes over the network, from another model, is led likewise.
fn table(ports: &[ServicePort]) -> String {
    let mut rules = String::new();
    for service in ports {
        let (address, port) = (service.address, service.port);
        let at = format!("ip daddr {address} tcp dport {port}");
        match service.endpoints.as_slice() {
            [] => {}
            [(one, port)] => {
                let _ = writeln!(rules, "  {at} dnat to {one}:{port};");
            }
            many => {
                let choices: Vec<String> = many
                    .iter()
                    .enumerate()
                    .map(|(n, (address, port))| format!("{n} : {address} . {port}"))
                    .collect();
                let (count, map) = (many.len(), choices.join(", "));
                let _ = writeln!(
                    rules,
                    "  {at} dnat ip addr . port to numgen random mod {count} map {{ {map} }};"
                );
            }
        }
    }
    format!(
        "table ip services {{}}\ndelete table ip services\n\
         table ip services {{\n\
         chain lead {{ type nat hook output priority -100;\n{rules} }}\n\
         chain come {{ type nat hook prerouting priority -100;\n{rules} }}\n\
         chain refuse {{ type filter hook output priority 0;\n\
         ip daddr 10.152.183.0/24 ip daddr != {{ {API_ADDRESS}, {DNS_ADDRESS} }} \
         meta l4proto tcp reject with tcp reset;\n }}\n}}\n"
    )
}
