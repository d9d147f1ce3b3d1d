//! The pages that people write: their links lead somewhere, and no crate is left out.

use std::path::{Path, PathBuf};

use super::{path, read};

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let page = entry.unwrap().path();
        if page.is_dir() {
            pages(&page, found);
        } else if page.extension().is_some_and(|kind| kind == "md") {
            found.push(page);
        }
    }
}

/// What stands in `](...)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut found = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(path)
        .to_vec();
    pages(&path("docs"), &mut found);
    let mut broken = Vec::new();
    for page in found {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text).filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            if !page.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn the_table_of_crates_has_every_crate() {
    let text = read("docs/ARCHITECTURE.md");
    for entry in std::fs::read_dir(path("crates")).unwrap() {
        let name = entry.unwrap().file_name();
        let name = format!("`crates/{}`", name.to_str().unwrap());
        assert!(text.contains(&name), "docs/ARCHITECTURE.md lacks {name}");
    }
}
