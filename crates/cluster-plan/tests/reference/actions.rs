//! `actions.md`, from `actions.yaml` and the dispatch table.

use std::fmt::Write;

use serde_json::Value;

use super::{cell, keep, read};

/// Where an action runs, and what it answers.
const ANSWERS: [(&str, &str, &str); 9] = [
    (
        "get-primary",
        "any unit",
        "`primary`: the unit's name, or `None`",
    ),
    (
        "get-password",
        "any unit",
        "`password`: the password, or `None`",
    ),
    (
        "list-clients",
        "any unit",
        "`clients`: JSON, a list of relations; `sessions`: the members that do not answer, if any",
    ),
    (
        "pre-upgrade-check",
        "the leader",
        "nothing; it fails with what is not ready",
    ),
    ("promote-to-primary", "the unit that is to lead", "nothing"),
    (
        "resume-upgrade",
        "the leader",
        "`message`: the unit that follows",
    ),
    (
        "rotate-client-credentials",
        "the leader",
        "`relation` and `logins`: the logins that are valid now",
    ),
    ("set-password", "the leader", "`password`: the new password"),
    ("set-tls-private-key", "the unit of that key", "nothing"),
];

#[test]
fn actions_md_is_what_the_sources_say() {
    let actions: Value = serde_yaml::from_str(&read("actions.yaml")).unwrap();
    let dispatch = read("src/dispatch.rs");
    let mut text = "# Actions\n\n\
        <!-- Written by `just reference` from actions.yaml and src/dispatch.rs. -->\n\n\
        `juju run UNIT ACTION [PARAMETER=VALUE ...]`. An action that cannot be done fails with the \
        reason, and\nnothing has changed.\n"
        .to_owned();
    let mut later = Vec::new();
    for (name, action) in actions.as_object().unwrap() {
        let served = dispatch.contains(&format!("\"{name}\" => Action::"));
        let description = action["description"].as_str().unwrap();
        if !served {
            later.push(format!("| `{name}` | {} |", cell(description)));
            continue;
        }
        let (_, place, answer) = ANSWERS
            .iter()
            .find(|(of, ..)| of == name)
            .unwrap_or_else(|| panic!("add to ANSWERS where {name} runs and what it answers"));
        write!(
            text,
            "\n## {name}\n\n{description}\n\n* Run it on: {place}.\n* It answers: {answer}.\n"
        )
        .unwrap();
        let Some(params) = action["params"].as_object() else {
            continue;
        };
        text.push_str("\n| parameter | type | default | what it is |\n|---|---|---|---|\n");
        for (param, about) in params {
            let default = match &about["default"] {
                Value::Null => "(none)".to_owned(),
                other => format!("`{other}`"),
            };
            writeln!(
                text,
                "| `{param}` | {} | {default} | {} |",
                about["type"].as_str().unwrap(),
                cell(about["description"].as_str().unwrap()),
            )
            .unwrap();
        }
    }
    write!(
        text,
        "\n## Not there yet\n\nThe Python charm has these too. Here each fails and says that it\nis not available in this revision.\n\n\
         | action | what it is to do |\n|---|---|\n{}\n",
        later.join("\n")
    )
    .unwrap();
    keep("actions.md", &text);
}
