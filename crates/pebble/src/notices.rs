//! Notices, and the warnings among them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::Error;
use crate::client::Client;
use crate::http::{self, Request};
use crate::types::{Notice, NoticeQuery, Warning};

impl Client {
    /// Records a custom notice: its id.
    ///
    /// # Errors
    /// [`Error::Api`] where the key is not like `example.com/path`.
    pub async fn notify(
        &self,
        key: &str,
        data: &BTreeMap<String, String>,
    ) -> Result<String, Error> {
        self.notify_after(key, data, Duration::ZERO).await
    }

    /// Records a custom notice that wakes nobody again before `repeat_after` has passed: its id.
    ///
    /// # Errors
    /// As of [`Client::notify`].
    pub async fn notify_after(
        &self,
        key: &str,
        data: &BTreeMap<String, String>,
        repeat_after: Duration,
    ) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let mut body = json!({"action": "add", "type": "custom", "key": key, "data": data});
        if let (false, Some(fields)) = (repeat_after.is_zero(), body.as_object_mut()) {
            fields.insert("repeat-after".into(), http::duration(repeat_after).into());
        }
        let id: Id = self
            .send(Request::post("/v1/notices", &body))
            .await?
            .result()?;
        Ok(id.id)
    }

    /// Notices, oldest repetition first; with `wait` it waits so long for the first one.
    ///
    /// To go on from there, give the last one's `last_repeated` as `after`.
    ///
    /// # Errors
    /// See [`Error`]; none in time is an empty list.
    pub async fn notices(&self, query: &NoticeQuery, wait: Duration) -> Result<Vec<Notice>, Error> {
        let timeout = http::duration(wait);
        let user = query.user_id.map(|id| id.to_string());
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        if query.all_users {
            pairs.push(("users", "all"));
        }
        pairs.extend(user.iter().map(|value| ("user-id", value.as_str())));
        pairs.extend(query.types.iter().map(|value| ("types", value.as_str())));
        pairs.extend(query.keys.iter().map(|value| ("keys", value.as_str())));
        pairs.extend(query.after.iter().map(|value| ("after", value.as_str())));
        if !wait.is_zero() {
            pairs.push(("timeout", &timeout));
        }
        let request = Request::get(format!("/v1/notices{}", http::query(&pairs)));
        self.send_within(request, self.limit + wait).await?.result()
    }

    /// A notice by its id.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    pub async fn notice(&self, id: &str) -> Result<Notice, Error> {
        self.send(Request::get(http::path("/v1/notices", &[id])))
            .await?
            .result()
    }

    /// Pebble's warnings: notices since 1.16, a list of their own before.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn warnings(&self) -> Result<Vec<Warning>, Error> {
        let query = NoticeQuery {
            types: vec!["warning".to_owned()],
            ..NoticeQuery::default()
        };
        let notices = self.notices(&query, Duration::ZERO).await?;
        if !notices.is_empty() {
            return Ok(notices.into_iter().map(Warning::from).collect());
        }
        let old = self.send(Request::get("/v1/warnings?select=all")).await?;
        match old.result() {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            result => result,
        }
    }
}
