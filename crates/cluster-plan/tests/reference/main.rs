//! `docs/reference`: options, actions and statuses as the sources have them. A page that is out of
//! date fails; `UPDATE=1 cargo test -p cluster-plan --test reference` writes it anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

mod actions;
mod judged;
mod options;
mod pages;
mod reasons;
mod source;
mod statuses;

use std::path::PathBuf;

/// A file of the repository.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The page is what the sources give, or is made so.
fn keep(page: &str, text: &str) {
    let name = format!("docs/reference/{page}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path(&name), text).unwrap();
    }
    let found = std::fs::read_to_string(path(&name)).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(
        found == text,
        "{name} is out of date, `just reference` writes it anew; first difference: {differs:?}"
    );
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
