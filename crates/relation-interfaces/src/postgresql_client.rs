//! Interface `postgresql_client`: a client asks for a database and gets a user in it.
//!
//! Two versions are spoken. In v0 the request and its answer are keys of the databags; in v1
//! (`version: v1`) both are lists of objects in the key `requests`, matched by `request-id`.

mod answer;
mod permissions;
mod request;

pub use answer::{Answer, Group, SecretIds, Told, answer, secret_content, secret_label};
pub use request::{Ask, Kind, MOST_BYTES, Permission, Request, Version, parse};
