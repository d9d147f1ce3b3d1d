//! The tools of ports and addresses.

use juju_local_api::agent::AgentRequest;
use serde_json::{Map, Value, json};

use super::output::{Print, Refusal, print};
use super::{Done, Tool};

/// Juju sorts ports by protocol, then by number.
fn by_protocol(port: &str) -> (String, u32) {
    let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
    (protocol.to_owned(), number.parse().unwrap_or_default())
}

impl Tool<'_> {
    pub(super) fn port(&mut self) -> Done {
        let args = self.args(&["endpoints"], &[])?;
        let text = args.one(0).unwrap_or_default().to_lowercase();
        let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        if !["tcp", "udp", "icmp"].contains(&protocol) {
            return Err(Refusal::usage(format!(
                "invalid protocol \"{protocol}\", expected \"tcp\", \"udp\", or \"icmp\""
            )));
        }
        if number.contains('-') {
            return Err(Refusal::run(
                "port ranges are not supported for k8s applications, please specify a single port",
            ));
        }
        let port = format!("{number}/{protocol}");
        let (to, from) = if self.call.tool == "open-port" {
            (
                &mut self.context.changes.open_ports,
                &mut self.context.changes.close_ports,
            )
        } else {
            (
                &mut self.context.changes.close_ports,
                &mut self.context.changes.open_ports,
            )
        };
        from.retain(|known| *known != port);
        if !to.contains(&port) {
            to.push(port);
        }
        Ok(String::new())
    }

    pub(super) fn opened_ports(&self) -> Done {
        let args = self.args(&[], &["endpoints"])?;
        let changes = &self.context.changes;
        let mut ports: Vec<String> = self.context.view.opened_ports.clone();
        ports.extend(changes.open_ports.iter().cloned());
        ports.retain(|port| !changes.close_ports.contains(port));
        ports.sort_by_key(|port| by_protocol(port));
        ports.dedup();
        if args.has("endpoints") {
            ports = ports
                .into_iter()
                .map(|port| format!("{port} (*)"))
                .collect();
        }
        print(&args, Print::Smart, &json!(ports))
    }

    pub(super) async fn network(&self) -> Done {
        let selectors = [
            "bind-address",
            "ingress-address",
            "egress-subnets",
            "primary-address",
        ];
        let args = self.args(&["r", "relation"], &selectors)?;
        let is_4 = self.juju().is_4();
        if self.call.tool == "unit-get" && is_4 && args.one(0) == Some("private-address") {
            return Err(Refusal::run("private address not found"));
        }
        if self.call.tool == "unit-get" {
            return print(&args, Print::Smart, &json!(self.context.view.address));
        }
        let binding = args
            .one(0)
            .ok_or_else(|| Refusal::usage("no arguments specified"))?
            .to_owned();
        let whole: Value = self
            .ask(AgentRequest::NetworkInfo {
                binding,
                relation: None,
            })
            .await?;
        let bind = whole
            .pointer("/bind-addresses/0/addresses/0/value")
            .cloned();
        let picked: Vec<(&str, Value)> = selectors
            .into_iter()
            .filter(|name| args.has(name))
            .map(|name| {
                let value = match name {
                    "ingress-address" => whole.pointer("/ingress-addresses/0").cloned(),
                    "egress-subnets" => whole.get("egress-subnets").cloned(),
                    _ => bind.clone(),
                };
                (name, value.unwrap_or(Value::Null))
            })
            .collect();
        match picked.as_slice() {
            [] => print(&args, Print::Smart, &whole),
            [(_, one)] => print(&args, Print::Smart, one),
            many => {
                let map: Map<String, Value> = many
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect();
                print(&args, Print::Smart, &Value::Object(map))
            }
        }
    }
}
