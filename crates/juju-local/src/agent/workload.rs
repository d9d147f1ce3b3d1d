//! What the workload's Pebbles tell: that they came up, notices, and checks.

use std::path::PathBuf;
use std::time::Duration;

use pebble::{Client, NoticeQuery};
use tokio::sync::mpsc;

use super::scheduler::Event;

/// Follows one container's Pebble for ever.
pub(crate) async fn follow(container: String, events: mpsc::UnboundedSender<Event>) {
    let socket: PathBuf = format!("/charm/containers/{container}/pebble.socket").into();
    let client = Client::new(&socket).with_limit(Duration::from_secs(5));
    let mut boot = String::new();
    let mut after: Option<String> = None;
    loop {
        let Ok(info) = client.system_info().await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        if info.boot_id != boot {
            boot = info.boot_id;
            after = None;
            if events
                .send(Event::Ready {
                    container: container.clone(),
                })
                .is_err()
            {
                return;
            }
        }
        let query = NoticeQuery {
            all_users: true,
            user_id: None,
            types: vec!["custom".into(), "change-update".into()],
            keys: Vec::new(),
            after: after.clone(),
        };
        // Also the sign of life: a Pebble that goes ends the wait.
        let Ok(notices) = client.notices(&query, Duration::from_secs(20)).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        for notice in notices {
            after = Some(notice.last_repeated.clone());
            let event = match notice.type_.as_str() {
                "custom" => Some(Event::Notice {
                    container: container.clone(),
                    id: notice.id.clone(),
                    kind: "custom".into(),
                    key: notice.key.clone(),
                }),
                _ => check_event(&client, &container, &notice).await,
            };
            if let Some(event) = event
                && events.send(event).is_err()
            {
                return;
            }
        }
    }
}

async fn check_event(client: &Client, container: &str, notice: &pebble::Notice) -> Option<Event> {
    let kind = notice.last_data.get("kind")?;
    let name = notice.last_data.get("check-name")?.clone();
    let (failed, wanted) = match kind.as_str() {
        "perform-check" => (true, "Error"),
        "recover-check" => (false, "Done"),
        _ => return None,
    };
    let change = client.change(&notice.key).await.ok()?;
    (change.status == wanted).then(|| Event::Check {
        container: container.to_owned(),
        name,
        failed,
    })
}
