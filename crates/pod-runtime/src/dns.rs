//! The name server of a model: names of Services and pods as in Kubernetes, and nothing else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, RwLock};

use hickory_server::proto::op::{Message, OpCode, ResponseCode};
use hickory_server::proto::rr::rdata::{A, PTR};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};

/// Seconds for which an answer may be kept.
const TTL: u32 = 5;

/// What the names stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Full name without the final dot, lower case, to addresses.
    pub addresses: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Address to full names: a pod has one in each Service that leads to it.
    pub reverse: BTreeMap<Ipv4Addr, Vec<String>>,
}

/// Answers until the task is dropped.
///
/// # Errors
/// When the socket can't be used.
pub async fn serve(socket: UdpSocket, names: Arc<RwLock<Names>>) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut buffer = [0; 4096];
    let mut turn = 0_u64;
    loop {
        turn = turn.wrapping_add(1);
        let (count, from) = socket.recv_from(&mut buffer).await?;
        let reply = {
            let names = names
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            answer(buffer.get(..count).unwrap_or_default(), &names, turn)
        };
        if let Some(reply) = reply {
            // A lost answer is asked for again.
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

/// The answer to a query. An address has its names in another order from one turn to the next, as those
/// of CoreDNS come from a map: nobody can rely on the first one.
fn answer(query: &[u8], names: &Names, turn: u64) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    let question = query.queries.first()?;
    reply.add_query(question.clone());
    let text = question.name().to_utf8().to_lowercase();
    let text = text.trim_end_matches('.');
    let mut known = false;
    if let Some(addresses) = names.addresses.get(text) {
        known = true;
        if matches!(question.query_type(), RecordType::A | RecordType::ANY) {
            for address in addresses {
                let data = RData::A(A(*address));
                reply.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
            }
        }
    } else if let Some(reversed) = text.strip_suffix(".in-addr.arpa") {
        let parts: Vec<u8> = reversed
            .split('.')
            .rev()
            .filter_map(|part| part.parse().ok())
            .collect();
        if let [a, b, c, d] = parts.as_slice() {
            let hosts = names.reverse.get(&Ipv4Addr::new(*a, *b, *c, *d));
            let hosts = hosts.map_or(&[][..], Vec::as_slice);
            // Mixed, so that who asks in a rhythm does not see the same one each time.
            let mixed = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
            let from = usize::try_from(mixed).unwrap_or(0);
            let from = from.checked_rem(hosts.len()).unwrap_or(0);
            for host in hosts.iter().cycle().skip(from).take(hosts.len()) {
                known = true;
                if let Ok(host) = Name::from_utf8(format!("{host}.")) {
                    let data = RData::PTR(PTR(host));
                    reply.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
                }
            }
        }
    }
    if !known {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    reply.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use hickory_server::proto::op::Query;

    use super::*;

    fn ask(name: &str, kind: RecordType) -> Message {
        ask_in(name, kind, 0)
    }

    fn ask_in(name: &str, kind: RecordType, turn: u64) -> Message {
        let mut names = Names::default();
        let address = Ipv4Addr::new(10, 1, 0, 12);
        names.addresses.insert(
            "db-0.db-endpoints.dev.svc.cluster.local".into(),
            vec![address],
        );
        names.reverse.insert(
            address,
            vec![
                "10-1-0-12.db.dev.svc.cluster.local".into(),
                "db-0.db-endpoints.dev.svc.cluster.local".into(),
                "10-1-0-12.db-replicas.dev.svc.cluster.local".into(),
            ],
        );
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_utf8(name).unwrap(), kind));
        Message::from_vec(&answer(&query.to_vec().unwrap(), &names, turn).unwrap()).unwrap()
    }

    #[test]
    fn names_lead_to_addresses_and_back() {
        let reply = ask("DB-0.db-endpoints.dev.svc.cluster.local.", RecordType::A);
        assert_eq!(reply.answers.len(), 1);
        let reply = ask("12.0.1.10.in-addr.arpa.", RecordType::PTR);
        let names: Vec<String> = reply.answers.iter().map(ToString::to_string).collect();
        assert!(names.iter().any(|name| name.contains("db-0.db-endpoints")));
    }

    #[test]
    fn each_name_of_an_address_comes_first_now_and_then() {
        let first = |turn| {
            let reply = ask_in("12.0.1.10.in-addr.arpa.", RecordType::PTR, turn);
            assert_eq!(reply.answers.len(), 3, "all of them each time");
            reply.answers[0].to_string()
        };
        let seen: std::collections::BTreeSet<String> = (0..30).map(first).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
    }

    #[test]
    fn a_known_name_without_such_a_record_is_no_error_and_an_unknown_one_is() {
        let reply = ask("db-0.db-endpoints.dev.svc.cluster.local.", RecordType::AAAA);
        assert_eq!(
            (reply.metadata.response_code, reply.answers.len()),
            (ResponseCode::NoError, 0)
        );
        let reply = ask("example.com.", RecordType::A);
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    }
}
