//! What each status means and what to do: a row for every text that the sources can show.

/// A status.
pub struct Row {
    /// Juju's word.
    pub word: &'static str,
    /// Who shows it.
    pub whose: &'static str,
    /// The Python charm has the same text; scripts may depend on it.
    pub peer: bool,
    /// The text, with `<names>` for what differs.
    pub text: &'static str,
    /// What it means.
    pub means: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const fn row(
    (word, whose, peer): (&'static str, &'static str, bool),
    text: &'static str,
    means: &'static str,
    remedy: &'static str,
) -> Row {
    Row {
        word,
        whose,
        peer,
        text,
        means,
        remedy,
    }
}

/// The statuses.
pub const ROWS: &[Row] = &[
    row(
        ("active", "unit", true),
        "Primary",
        "This unit leads: it takes the writes.",
        "",
    ),
    row(
        ("active", "unit", true),
        "Standby",
        "This unit leads a cluster that follows another one.",
        "",
    ),
    row(
        ("active", "unit", true),
        " (degraded)",
        "Follows `Primary`: fewer members run than there are units.",
        "Look at the units that are not active. It goes when they are back.",
    ),
    row(
        ("active", "unit", false),
        " (Kubernetes API fails)",
        "Follows `Primary`: the member serves, but the Kubernetes API does not answer.",
        "Restore the API. Until then nobody can take over.",
    ),
    row(
        ("active", "unit, application", false),
        "storage <percent> % full: <what>",
        "The volume is filling; what takes most of it comes after the colon. The application says `storage of <unit> is <percent> % full`.",
        "Make room or grow the volume before the database becomes read-only.",
    ),
    row(
        ("active", "application", false),
        "storage of <unit> is <percent> % full",
        "The fullest volume is filling.",
        "See that unit's status for what fills it.",
    ),
    row(
        ("any", "unit", false),
        "<n> clients have problems: <clients>",
        "More than one client is refused or waits; `juju debug-log` has each reason.",
        "See the reasons for clients below.",
    ),
    row(
        ("any", "unit", false),
        "<status>; <n> more: see the log",
        "So much more is wrong, less urgent than what is shown.",
        "Look into `juju debug-log`.",
    ),
    row(
        ("any", "unit", false),
        "<status>, see the log",
        "The text was cut; `juju debug-log` has all of it.",
        "Look there.",
    ),
    row(
        ("any", "application", false),
        "<status>, <storage>",
        "Two things are told in one line: a filling volume comes after the rest.",
        "",
    ),
    row(
        ("active", "application", false),
        "commits wait for 1 standby",
        "One synchronous standby has every acknowledged commit.",
        "",
    ),
    row(
        ("active", "application", false),
        "commits wait for <n> standbys",
        "So many synchronous standbys have every acknowledged commit.",
        "",
    ),
    row(
        ("active", "application", false),
        "commits wait for any <n> of <m> standbys",
        "Quorum commit: any n of the m standbys have every acknowledged commit.",
        "",
    ),
    row(
        ("active", "application", false),
        "commits wait for some of <m> standbys",
        "Quorum commit; this hook has not asked for how many.",
        "",
    ),
    row(
        ("active", "application", false),
        "commits wait for no standby: losing the primary may lose the last of them",
        "`synchronous_mode_strict` is off and no standby is synchronous: the newest commits are on the primary alone.",
        "Bring the standbys back, or set `synchronous_mode_strict=true`.",
    ),
    row(
        ("active", "application", false),
        "prepared for juju refresh: one unit goes first, the others after resume-upgrade<guarantee>",
        "`pre-upgrade-check` has passed.",
        "Run `juju refresh`.",
    ),
    row(
        ("active", "application", false),
        "; <guarantee>",
        "Ends the line above: what commits wait for.",
        "",
    ),
    row(
        ("waiting", "application", false),
        "commits wait for <n> of <m> standbys",
        "Fewer standbys are synchronous than `synchronous_node_count` asks for.",
        "Look at the units that are not active. It goes when they are back.",
    ),
    row(
        ("waiting", "application", false),
        "writes wait: no standby is synchronous",
        "The primary acknowledges nothing, as nobody else has the data.",
        "Bring a standby back. To go on without one, set `synchronous_mode_strict=false`.",
    ),
    row(
        ("waiting", "application", false),
        "writes wait for a standby that has gone: Patroni is told",
        "A standby has gone and the primary still waits for it.",
        "Wait some seconds: Patroni takes it off its list.",
    ),
    row(
        ("waiting", "application", true),
        "awaiting for primary endpoint to be ready",
        "No primary answers.",
        "Wait for the failover. If it stays, look at the units' statuses and `juju debug-log`.",
    ),
    row(
        ("waiting", "application", false),
        "refresh: <progress><strangers><next>",
        "A refresh is on its way. The parts are below.",
        "",
    ),
    row(
        ("waiting", "unit", false),
        "waiting for the peer relation",
        "The unit has just started.",
        "Wait.",
    ),
    row(
        ("waiting", "unit", false),
        "waiting for Pebble in container postgresql",
        "The workload container does not run yet.",
        "Wait. If it stays, look at the pod: `kubectl describe pod`.",
    ),
    row(
        ("waiting", "unit", false),
        "waiting for the leader's passwords",
        "The leader has not made the passwords yet.",
        "Wait. If it stays, look at the leader.",
    ),
    row(
        ("waiting", "unit", true),
        "awaiting for cluster to start",
        "No member of the cluster has started yet.",
        "Wait. If it stays, look at the leader's status.",
    ),
    row(
        ("waiting", "unit", true),
        "awaiting for member to start",
        "This unit's PostgreSQL does not run.",
        "Wait. If it stays, look into `juju debug-log` and the unit's PostgreSQL log.",
    ),
    row(
        ("waiting", "unit", false),
        "awaiting to become a synchronous standby",
        "The standby streams and Patroni does not count on it yet.",
        "Wait some seconds.",
    ),
    row(
        ("waiting", "unit", false),
        "taking a new copy of the primary's data",
        "The standby starts anew from the primary.",
        "Wait. How long depends on the size of the data.",
    ),
    row(
        ("waiting", "unit", false),
        "its standby does not stream from the primary",
        "The server runs and has not followed the primary for half a minute.",
        "Look into the unit's PostgreSQL log: network, certificates or missing WAL.",
    ),
    row(
        ("waiting", "unit", false),
        "leaving: waits for a standby that can take over",
        "The unit is being removed and leads. It waits for three of Patroni's loops and 15 s at most (24 s by default).",
        "Wait.",
    ),
    row(
        ("waiting", "unit", false),
        "Kubernetes API fails, trying again: <reason>",
        "The API does not answer as it should; the reason is its own.",
        "Restore the API. The charm asks again every eleven seconds.",
    ),
    row(
        ("waiting", "unit", false),
        "relation <relation> waits: <reason>",
        "A client's request is served as soon as something is there.",
        "See the reasons below.",
    ),
    row(
        ("waiting", "unit", false),
        "cannot follow: the primary has removed the WAL from <position> on; data is kept, because <reason>",
        "The standby needs WAL that is gone. It would take a new copy, and something speaks against that.",
        "Clear the reason, see below.",
    ),
    row(
        ("waiting", "unit", false),
        "has data that the primary lacks (timeline <timeline> from <position> on): Patroni rewinds it",
        "A former primary has what nobody else has. It was never acknowledged under the defaults.",
        "Wait.",
    ),
    row(
        ("blocked", "unit", false),
        "has data that the primary lacks (timeline <timeline> from <position> on) and cannot be rewound: save it, or give it up by the command in the log",
        "The unit has what nobody else has, and `pg_rewind` has failed or cannot be used.",
        "Save what you need by `pg_dump` or a copy of the volume, then run the command that `juju debug-log` has.",
    ),
    row(
        ("blocked", "unit, application", false),
        "no unit can become primary, <units> had the newest data: add units until it is back with its storage, or go on without it (the log has the command)",
        "The units that had every commit were removed.",
        "`juju add-unit` with their storage, or run the command in `juju debug-log` and lose what only they had. See [recover](../how-to/recover.md).",
    ),
    row(
        ("blocked", "unit", false),
        "PostgreSQL does not start: <words>",
        "PostgreSQL's own last words.",
        "Mend what they name.",
    ),
    row(
        ("blocked", "unit, application", false),
        "restart of <unit> failed, others wait: see its log, or change the options back",
        "A change of options needed a restart, and the first member to restart did not come back. The others run on with the old values.",
        "Look into that unit's log, or take the options back: `juju config --reset`.",
    ),
    row(
        ("blocked", "unit, application", false),
        "memory_max_prepared_transactions=<wanted> waits: end <n> prepared transaction(s)",
        "PostgreSQL would not start with more prepared transactions than it has room for.",
        "`COMMIT PREPARED` or `ROLLBACK PREPARED` what `pg_prepared_xacts` lists.",
    ),
    row(
        ("blocked", "unit, application", true),
        "Insufficient permissions, try: `juju trust <app> --scope=cluster`",
        "The charm may not use the Kubernetes API.",
        "Run that command, or grant the [rights](kubernetes-rights.md) that it needs.",
    ),
    row(
        ("blocked", "unit", true),
        "failed to create k8s services",
        "A Service could not be written.",
        "Look into `juju debug-log` for Kubernetes' reason. The charm tries again.",
    ),
    row(
        ("blocked", "unit", true),
        "failed to patch pod with error <reason>",
        "The pod could not be labelled.",
        "The same.",
    ),
    row(
        ("blocked", "unit, application", true),
        "Configuration Error: <options>",
        "Options have values that are not allowed. The cluster runs on as it was.",
        "Set what the text allows, or `juju config --reset`.",
    ),
    row(
        ("blocked", "unit", false),
        "volume holds another cluster (<id>, not <id>): remove this unit with its storage, or deploy that storage as an application of its own",
        "The attached volume is another cluster's. Nothing was started on it.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit, application", false),
        "volume is of PostgreSQL <version>, the image has <version>: juju refresh to a revision with PostgreSQL <version>",
        "The image is of another major version than the data. Nothing was started.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit, application", false),
        "what <app> keeps is in form <n>, this revision reads <n> to <n>: juju refresh to the revision that the other units run",
        "A newer revision has written what this one cannot read. Nothing was started.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit, application", false),
        "leader's volume is empty but <unit> holds a cluster: remove this unit, <unit> then leads",
        "The leader must bootstrap and another unit's volume holds data.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit, application", false),
        "the application's name has <n> characters, deploy it with <n> at most",
        "Kubernetes would refuse the names of its Services.",
        "Deploy it by a shorter name.",
    ),
    row(
        ("blocked", "unit", false),
        "the workload image has no <what>",
        "The image lacks what the charm runs.",
        "Refresh with an image that has PostgreSQL and Patroni.",
    ),
    row(
        ("blocked", "unit, application", false),
        "Service <name> is gone: members cannot reach each other until the leader makes it again",
        "Somebody deleted the headless Service.",
        "Wait some seconds. If it stays, look at the leader.",
    ),
    row(
        ("blocked", "unit, application", false),
        "<object> belongs to <owner>: give one another name",
        "An object in Kubernetes has a name that this application needs.",
        "Remove or rename it, or deploy under another name.",
    ),
    row(
        ("blocked", "unit, application", false),
        "<object> is not this application's: delete or rename it",
        "The same, and it does not tell whose it is.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit", false),
        "relation certificates: <reason>",
        "The provider gives no certificate that can be used.",
        "See the reasons below.",
    ),
    row(
        ("blocked", "unit", false),
        "relation <relation and reason>",
        "An application hands over by `receive-ca-cert` what is no authority.",
        "See the reasons below.",
    ),
    row(
        ("blocked", "unit, application", false),
        "relation <endpoint> is not served by this revision yet: remove it",
        "The relation needs what is not there yet.",
        "`juju remove-relation`.",
    ),
    row(
        ("blocked", "unit", false),
        "relation <relation>: <reason>",
        "A client asks for what it cannot have.",
        "See the reasons below; then relate again.",
    ),
    row(
        ("blocked", "unit", false),
        "invalid role(s) for extra user roles",
        "A client asks for roles that do not exist, or that no client gets. The text is the peer charm's, as a whole; which relation and which roles, the unit's log and the client's databag say.",
        "Correct the client's `extra-user-roles`, then relate again.",
    ),
    row(
        ("blocked", "unit", false),
        "invalid database name",
        "A client asks for a database of a name that no client gets. The unit's log and the client's databag say which name, and why.",
        "Correct the client's database name, then relate again.",
    ),
    row(
        ("blocked", "unit", false),
        "user <user> stays: <reason>",
        "The relation has gone, and PostgreSQL does not let its user go: it may own something in a database that cannot be entered, or hold a prepared transaction.",
        "Mend what PostgreSQL's words name. The charm tries again.",
    ),
    row(
        ("blocked", "unit", false),
        "user <user> stays",
        "The same, where the reason is too long: the log has it.",
        "As above.",
    ),
    row(
        ("blocked", "unit", true),
        "Please choose one endpoint to use. No need to relate all of them simultaneously!",
        "A client is related by `database` and by `db` or `db-admin`.",
        "Remove one of the relations.",
    ),
    row(
        ("blocked", "unit", false),
        "storage <percent> % full, the database only reads until it is below <percent> %: <what>: make room (BEGIN READ WRITE works) or grow the volume",
        "New transactions are read-only, so that PostgreSQL does not stop for want of space.",
        "As the text says. Writes are back by themselves.",
    ),
    row(
        ("blocked", "application", false),
        "<storage>: the database only reads",
        "The same, told by the application with `storage of <unit> is <percent> % full` before it.",
        "As above.",
    ),
    row(
        ("blocked", "unit, application", false),
        "cannot read the secret of option system-users, try: `juju grant-secret <id> <app>`",
        "The secret is not granted, or gone.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit, application", false),
        "the secret of option system-users <reason>: update it, or reset the option",
        "The secret holds what cannot be taken; no password has changed.",
        "`juju update-secret`, see the reasons below.",
    ),
    row(
        ("blocked", "unit, application", true),
        "Cannot enable plugins: the image has no extension <name>, set <option>=false",
        "An option asks for an extension that the image lacks.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit, application", true),
        "Cannot enable plugins: <name> in database <database> (<option>): <words>",
        "PostgreSQL refuses to make the extension there; others get it.",
        "Mend what its words name in that database.",
    ),
    row(
        ("blocked", "unit, application", true),
        "Cannot disable plugins: Existing objects depend on it: <name> in database <database>, remove them or set <option>=true",
        "The extension is in use, so it stays.",
        "As the text says.",
    ),
    row(
        ("blocked", "unit, application", false),
        "Cannot check plugins in database <database>: <words>",
        "The database cannot be looked into.",
        "Mend what PostgreSQL's words name.",
    ),
    row(
        ("blocked", "unit", true),
        "Disabled",
        "A file `disable` lies in the charm's folder: the charm does nothing.",
        "Remove the file.",
    ),
];
