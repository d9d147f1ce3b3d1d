//! The stack of layers: those of the directory at start, and those that the API adds.

use std::path::Path;

use super::Layer;

/// Why a layer is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request or the layer is wrong.
    #[error("{0}")]
    Wrong(String),
    /// A layer of a sub-directory would not come last.
    #[error("cannot insert sub-directory layer without 'inner' attribute set")]
    Inner,
}

#[derive(Debug, Clone)]
struct Entry {
    order: u32,
    label: String,
    layer: Layer,
}

/// All layers, lowest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stack {
    entries: Vec<Entry>,
}

/// The part before the slash of a label like `foo/bar`.
fn group(label: &str) -> Option<&str> {
    label.split_once('/').map(|(group, _)| group)
}

impl Stack {
    /// Adds a layer, into the one of that label with `combine`, and gives the plan that follows.
    /// Nothing changes when it is refused.
    pub fn add(
        &mut self,
        label: &str,
        layer: Layer,
        combine: bool,
        inner: bool,
    ) -> Result<Layer, Refusal> {
        if label.starts_with("pebble-") {
            let text = "cannot use reserved label prefix \"pebble-\"".to_owned();
            return Err(Refusal::Wrong(text));
        }
        self.add_unchecked(label, layer, combine, inner)
    }

    /// The same for the program's own layers.
    pub fn add_unchecked(
        &mut self,
        label: &str,
        layer: Layer,
        combine: bool,
        inner: bool,
    ) -> Result<Layer, Refusal> {
        let mut next = self.clone();
        match next.entries.iter_mut().find(|entry| entry.label == label) {
            Some(_) if !combine => {
                return Err(Refusal::Wrong(format!("layer \"{label}\" already exists")));
            }
            Some(known) => known.layer.add(&layer),
            None => next.insert(label, layer, inner)?,
        }
        let plan = next.plan().map_err(Refusal::Wrong)?;
        *self = next;
        Ok(plan)
    }

    fn insert(&mut self, label: &str, layer: Layer, inner: bool) -> Result<(), Refusal> {
        let last_of_group = group(label).and_then(|wanted| {
            self.entries
                .iter()
                .rposition(|entry| group(&entry.label) == Some(wanted))
        });
        let top = self.entries.last().map_or(0, |entry| entry.order);
        let (index, order) = match last_of_group.and_then(|at| Some((at, self.entries.get(at)?))) {
            Some((at, entry)) => (at + 1, entry.order + 1),
            None => (self.entries.len(), (top / 1000 + 1) * 1000),
        };
        if index != self.entries.len() && !inner {
            return Err(Refusal::Inner);
        }
        self.entries.insert(
            index,
            Entry {
                order,
                label: label.to_owned(),
                layer,
            },
        );
        Ok(())
    }

    /// The plan that the layers make.
    pub fn plan(&self) -> Result<Layer, String> {
        let plan = Layer::combined(self.entries.iter().map(|entry| &entry.layer));
        plan.validate_plan()?;
        Ok(plan)
    }

    /// Reads `NNN-label.yaml`, and `NNN-label.d/MMM-sub.yaml`, of a directory; none if it is absent.
    pub fn load(directory: &Path) -> Result<Self, String> {
        let mut stack = Self::default();
        for (number, name, path) in named(directory)? {
            if path.is_dir() {
                for (sub, inner, path) in named(&path)? {
                    if path.is_file() {
                        let label = format!("{name}/{inner}");
                        stack.push(number * 1000 + sub, label, &path)?;
                    }
                }
            } else {
                stack.push(number * 1000, name, &path)?;
            }
        }
        stack.entries.sort_by_key(|entry| entry.order);
        stack.plan()?;
        Ok(stack)
    }

    fn push(&mut self, order: u32, label: String, path: &Path) -> Result<(), String> {
        if let Some(other) = self
            .entries
            .iter()
            .find(|e| e.order == order || e.label == label)
        {
            return Err(format!(
                "invalid layer filename: \"{}\" not unique (have \"{}\" already)",
                path.display(),
                other.label
            ));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|why| format!("cannot read layer file \"{}\": {why}", path.display()))?;
        let layer = Layer::parse(&label, &text)?;
        self.entries.push(Entry {
            order,
            label,
            layer,
        });
        Ok(())
    }
}

/// The layer files and directories of a directory: number, label and path, in order.
fn named(directory: &Path) -> Result<Vec<(u32, String, std::path::PathBuf)>, String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(found);
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = name
            .strip_suffix(".yaml")
            .or_else(|| name.strip_suffix(".d"))
        else {
            continue;
        };
        match parts(stem) {
            Some((number, label)) => found.push((number, label.to_owned(), path)),
            None => {
                return Err(format!(
                    "invalid layer filename: \"{name}\" (must look like \"123-some-label.yaml\")"
                ));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `123-some-label`: three digits, then at least three letters or digits with single hyphens.
fn parts(stem: &str) -> Option<(u32, &str)> {
    let (number, label) = stem.split_once('-')?;
    let digits = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let shaped = label.starts_with(|c: char| c.is_ascii_lowercase())
        && !label.ends_with('-')
        && !label.contains("--")
        && label.bytes().all(|byte| word(byte) || byte == b'-')
        && label.bytes().filter(|byte| word(*byte)).count() >= 3;
    (digits && shaped).then_some(())?;
    Some((number.parse().ok()?, label))
}
