//! A real API server as the owner of a model uses it, with the controllers that nobody else runs
//! beside it: Endpoints of Services, and the removal of what lost its owners.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::json as field;
use crate::resource::{self, Resource};
use crate::server::Tasks;
use crate::{Client, Error, endpoints};

/// Kinds whose changes matter to the controllers and to the model's network.
const WATCHED: [&str; 4] = ["services", "pods", "endpoints", "statefulsets"];
/// Time between two attempts to reach a server that is away.
const PAUSE: Duration = Duration::from_secs(1);
const JSON: &str = "application/json";
/// Lifetime of service accounts' tokens: longer than any local model.
const TOKEN_SECONDS: u32 = 365 * 24 * 3600;

/// A real API server in use; its controllers end with the last clone of this.
#[derive(Debug, Clone)]
pub struct Remote {
    client: Client,
    runtime: Handle,
    changes: watch::Receiver<u64>,
    _tasks: Arc<Tasks>,
}

impl Remote {
    /// Begins to use a server: looks whether it answers, and runs the controllers.
    ///
    /// # Errors
    /// When the server does not answer, or not to this client.
    pub async fn start(client: Client) -> Result<Self, Error> {
        let path = "/api/v1/namespaces";
        let (status, _) = client.call("GET", path, JSON, None).await?;
        if status != 200 {
            let path = path.to_owned();
            return Err(Error::Refused { path, status });
        }
        let (changes, removals) = (watch::Sender::new(0), watch::Sender::new(0));
        let hears = changes.subscribe();
        let (one, other) = (client.clone(), client.clone());
        let endpoints = control(changes.subscribe(), move || keep_endpoints(one.clone()));
        let garbage = control(removals.subscribe(), move || collect(other.clone()));
        let mut tasks = vec![
            tokio::spawn(endpoints).abort_handle(),
            tokio::spawn(garbage).abort_handle(),
        ];
        let counts = Counts { changes, removals };
        for kind in WATCHED
            .iter()
            .filter_map(|plural| resource::by_plural(plural))
        {
            let following = follow(client.clone(), kind, counts.clone());
            tasks.push(tokio::spawn(following).abort_handle());
        }
        Ok(Self {
            client,
            runtime: Handle::current(),
            changes: hears,
            _tasks: Arc::new(Tasks(tasks)),
        })
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a request and waits for the answer; without one, it is as if the server were
    /// unavailable. Only for threads of a runtime with several of them.
    #[must_use]
    pub fn call(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let request = self.client.call(method, path, media, body);
        let answer = tokio::task::block_in_place(|| self.runtime.block_on(request));
        answer.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error}: {}", cause.unwrap_or_default());
            (503, json!({"kind": "Status", "code": 503, "message": text}))
        })
    }

    /// Objects of a kind, by its plural name, in a namespace; none without an answer.
    #[must_use]
    pub fn list(&self, plural: &str, namespace: &str) -> Option<Vec<Value>> {
        let path = collection(resource::by_plural(plural)?, Some(namespace));
        match self.call("GET", &path, JSON, None) {
            (200, mut list) => Some(items(&mut list)),
            _ => None,
        }
    }

    /// One object.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let path = collection(resource::by_plural(plural)?, Some(namespace));
        match self.call("GET", &format!("{path}/{name}"), JSON, None) {
            (200, object) => Some(object),
            _ => None,
        }
    }

    /// A token of a service account.
    ///
    /// # Errors
    /// What the server says.
    pub fn account_token(&self, namespace: &str, name: &str) -> Result<String, String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({"spec": {"expirationSeconds": TOKEN_SECONDS}});
        let (status, answer) = self.call("POST", &path, JSON, Some(&request));
        let token = field::text(&answer, &["status", "token"]);
        if token.is_empty() {
            let said = field::text(&answer, &["message"]);
            return Err(format!(
                "cannot get a token of {namespace}/{name}: {status} {said}"
            ));
        }
        Ok(token.to_owned())
    }

    /// Hears of every change that matters.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

/// The path of a kind's objects, in one namespace or all.
fn collection(kind: &Resource, namespace: Option<&str>) -> String {
    let group = if kind.group.is_empty() {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    match namespace.filter(|_| kind.namespaced) {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{}", kind.plural),
        None => format!("{group}/{}", kind.plural),
    }
}

fn items(list: &mut Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// What the watches count: changes of any kind, and among them removals.
#[derive(Debug, Clone)]
struct Counts {
    changes: watch::Sender<u64>,
    removals: watch::Sender<u64>,
}

/// Counts every change of a kind. When a watch begins, whatever happened before it counts as one.
async fn follow(client: Client, kind: &'static Resource, counts: Counts) {
    let path = format!("{}?watch=1&timeoutSeconds=600", collection(kind, None));
    let count = |removed: bool| {
        if removed {
            counts.removals.send_modify(|count| *count += 1);
        }
        counts.changes.send_modify(|count| *count += 1);
    };
    loop {
        if let Ok(mut events) = client.watch(&path).await {
            count(true);
            while let Some(event) = events.next().await {
                count(field::text(&event, &["type"]) == "DELETED");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs a controller after every change it follows, and again while it could not do its work.
async fn control<Work>(mut follows: watch::Receiver<u64>, work: impl Fn() -> Work)
where
    Work: Future<Output = Result<(), Error>>,
{
    loop {
        follows.borrow_and_update();
        let failed = work().await.err();
        if let Some(error) = &failed {
            tracing::warn!("a controller of the real API server has to try again: {error}");
        }
        let limit = failed.map_or(Duration::MAX, |_| PAUSE);
        let next = tokio::time::timeout(limit, follows.changed()).await;
        if matches!(next, Ok(Err(_))) {
            return;
        }
    }
}

async fn all(client: &Client, kind: &Resource) -> Result<Vec<Arc<Value>>, Error> {
    let path = collection(kind, None);
    let (status, mut list) = client.call("GET", &path, JSON, None).await?;
    if status != 200 {
        return Err(Error::Refused { path, status });
    }
    Ok(items(&mut list).into_iter().map(Arc::new).collect())
}

async fn keep_endpoints(client: Client) -> Result<(), Error> {
    let mut found = Vec::new();
    for plural in ["services", "pods", "endpoints"] {
        match resource::by_plural(plural) {
            Some(kind) => found.push(all(&client, kind).await?),
            None => return Ok(()),
        }
    }
    let [services, pods, current] = found.as_slice() else {
        return Ok(());
    };
    for object in endpoints::wanted(services, pods, current) {
        let text = |key| field::text(&object, &["metadata", key]);
        let path = format!("/api/v1/namespaces/{}/endpoints", text("namespace"));
        // Whoever wrote meanwhile caused a change too, after which this comes again.
        if text("resourceVersion").is_empty() {
            client.call("POST", &path, JSON, Some(&object)).await?;
        } else {
            let path = format!("{path}/{}", text("name"));
            client.call("PUT", &path, JSON, Some(&object)).await?;
        }
    }
    Ok(())
}

/// Removes the objects whose owners are all gone. What that leaves without owners follows at the
/// change that this makes.
async fn collect(client: Client) -> Result<(), Error> {
    for kind in resource::RESOURCES.iter().filter(|kind| !kind.review) {
        for object in all(&client, kind).await? {
            let owners = field::list(&object, &["metadata", "ownerReferences"]);
            let dying = !field::text(&object, &["metadata", "deletionTimestamp"]).is_empty();
            if owners.is_empty() || dying || any_lives(&client, &object, owners).await? {
                continue;
            }
            let text = |key| field::text(&object, &["metadata", key]);
            let path = collection(kind, Some(text("namespace")));
            let options = json!({"preconditions": {"uid": text("uid")}});
            let path = format!("{path}/{}?gracePeriodSeconds=0", text("name"));
            client.call("DELETE", &path, JSON, Some(&options)).await?;
        }
    }
    Ok(())
}

async fn any_lives(client: &Client, object: &Value, owners: &[Value]) -> Result<bool, Error> {
    let namespace = field::text(object, &["metadata", "namespace"]);
    for owner in owners {
        let text = |key| field::text(owner, &[key]);
        let same = |kind: &&Resource| {
            kind.kind == text("kind") && kind.api_version() == text("apiVersion")
        };
        let Some(kind) = resource::RESOURCES.iter().find(same) else {
            // Nothing is known of its kind.
            return Ok(true);
        };
        let path = format!("{}/{}", collection(kind, Some(namespace)), text("name"));
        let (status, found) = client.call("GET", &path, JSON, None).await?;
        let lives = match status {
            404 => false,
            200 => field::text(&found, &["metadata", "uid"]) == text("uid"),
            _ => return Err(Error::Refused { path, status }),
        };
        if lives {
            return Ok(true);
        }
    }
    Ok(false)
}
