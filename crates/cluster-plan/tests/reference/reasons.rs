//! Texts that statuses are made up from: reasons, and what is allowed.

/// A group of reasons: its title, where they stand, and each text with what to do.
pub type Group = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// The reasons.
pub const REASONS: &[Group] = &[
    (
        "How far a refresh is",
        "After `refresh:`.",
        &[
            (
                "no unit runs the new revision yet",
                "Wait: Kubernetes replaces the first pod.",
            ),
            (
                "<units> runs the new revision, <units> not yet",
                "Look at the new unit before you go on.",
            ),
            ("<units> run the new revision, <units> not yet", "The same."),
            (
                "; to go on run resume-upgrade, to go back juju refresh to the former revision",
                "Run one of the two.",
            ),
            (
                "; waits: <reason>",
                "Wait for the reason to go, then the next unit follows by itself.",
            ),
            (
                "; <reason>: wait for it, or go back by juju refresh to the former revision",
                "As the text says.",
            ),
            (
                "; <pods>",
                "Kubernetes waits for a pod that Juju does not know: see the next lines.",
            ),
            (
                "pod <pod> has no unit in Juju",
                "Remove the pod by scaling the StatefulSet, or have Juju add the unit.",
            ),
            ("pods <pods> have no unit in Juju", "The same."),
            ("no member of the cluster answers", "Look at the units."),
            (
                "<units> not healthy",
                "The named members do not run: look at their statuses.",
            ),
            ("<units> <verb>", "(names the units in the line above)"),
            ("not all units have joined", "Wait."),
            ("no member leads", "Wait for the failover."),
            (
                "not all standbys are synchronous",
                "Wait, or bring the standbys back.",
            ),
        ],
    ),
    (
        "Why a standby keeps its data",
        "After `data is kept, because`.",
        &[
            (
                "Patroni does not list this member",
                "Wait: it goes when Patroni has started.",
            ),
            (
                "this member is the primary or a synchronous standby",
                "Nothing: it must not start anew.",
            ),
            ("this unit is being removed", "Nothing."),
            ("Patroni is paused", "`patronictl resume`."),
            (
                "replay is paused or delayed here",
                "`SELECT pg_wal_replay_resume()`, or take `recovery_min_apply_delay` back.",
            ),
            (
                "an archive may have the WAL",
                "Let the archive give it back, or reinitialise the member by `patronictl reinit`.",
            ),
            ("no primary runs", "Wait for the failover."),
            (
                "another standby has to take its new copy first",
                "Wait: one member at a time.",
            ),
        ],
    ),
    (
        "What an option may be",
        "After `Configuration Error:`, one for each option.",
        &[
            (
                "<option>=<value> is not allowed, use <allowed>",
                "Set one of the values.",
            ),
            (
                "less than <option>=<percent>",
                "Lower `disk_warning_percent` or raise the other.",
            ),
            (
                "false: it needs Patroni 4, the image has <version>.<version>",
                "Refresh with an image that has Patroni 4.",
            ),
            (
                "<option>=true with it, or false",
                "Enable the extension that this one needs, too.",
            ),
            ("true or false", ""),
            ("<low> to <high>", ""),
            ("a number from <low>", ""),
            ("auto or a number from 2 to ten times the cores", ""),
            (
                "auto or 2 to <n>",
                "The cores of this machine allow no more.",
            ),
            ("all, majority or a number from 1", ""),
            ("ISO, SQL, Postgres or German, with DMY, MDY or YMD", ""),
            ("a time zone's name, e.g. Europe/Berlin", ""),
            (
                "UTC or another time zone of the image, e.g. Europe/Berlin",
                "",
            ),
            ("the id of a secret, secret:...", ""),
            ("a locale's name, e.g. C", ""),
            ("C or one that `locale -a` names in the image", ""),
            ("text without control characters", ""),
            ("16 to <n> (40 % of the memory)", ""),
            ("<low> to <high> (<reason>)", ""),
            (
                "more needs over <n> processes",
                "(the reason in the line above)",
            ),
            (
                "more does not fit into memory",
                "(the same): lower it, or give the pod more memory.",
            ),
            (
                "<seconds> or more: patroni_loop_wait=<seconds> and twice patroni_retry_timeout=<seconds> have to fit in it",
                "Raise `patroni_ttl` or lower the others.",
            ),
        ],
    ),
    (
        "Why a secret of passwords is refused",
        "After `the secret of option system-users`.",
        &[
            (
                "names <name>, which is not one of <users>",
                "Remove that key.",
            ),
            (
                "has a password of <user> that <reason>",
                "Choose another one.",
            ),
            ("holds no password", "Add one."),
            (
                "is not <n> to <n> characters long",
                "(ends the second line)",
            ),
            ("contains control characters", "(the same)"),
            (
                "is a word that means no password",
                "(the same): `None` reads as no password.",
            ),
        ],
    ),
    (
        "What fills a volume",
        "After `storage ... full:`.",
        &[
            (
                "<size> MB <what>",
                "The largest parts come first: WAL, logs, `temporary files`, `tables and indexes`, `the rest`.",
            ),
            (
                "temporary files",
                "Look for queries that sort or hash more than fits into memory.",
            ),
            ("tables and indexes", "Remove data, or grow the volume."),
            ("the rest", "Look into the volume."),
            (
                "slot <name> holds <size> MB of the WAL",
                "A replication slot keeps WAL: bring its consumer back, or drop the slot.",
            ),
        ],
    ),
    (
        "Why a client waits or is refused",
        "After `relation <relation>:`. The client has to correct its request and relate again, unless it says otherwise here.",
        &[
            (
                "invalid role(s) for extra user roles: <roles>",
                "The roles do not exist, or no client gets them.",
            ),
            (
                "invalid database name: <name>",
                "With PostgreSQL 15 and newer `databases`, and names that begin with `charmed_`, are no client's.",
            ),
            (
                "database <name> cannot be made: a role of that name exists",
                "Ask for another name.",
            ),
            (
                "database <name> is another client's: ask for another name, or have operator own it",
                "As the text says: `ALTER DATABASE ... OWNER TO operator`.",
            ),
            ("the <kind> Service has no port on the nodes yet", "Wait."),
            (
                "Kubernetes tells of no node with a pod of this application yet",
                "Wait.",
            ),
            (
                "the application's name has more than <n> characters",
                "Clients outside Kubernetes need a shorter name of the application.",
            ),
            (
                "extensions requested through relation",
                "Enable them by options: `juju config postgresql-k8s plugin_..._enable=true`.",
            ),
            (
                "roles requested through relation, use postgresql_client interface instead",
                "Relate by `database`.",
            ),
            (
                "the database cannot change in a relation that is served: relate again",
                "As the text says.",
            ),
            (
                "it cannot change in a relation that is served: relate again",
                "The same.",
            ),
            (
                "Failed to initialize <endpoint> relation: <words>",
                "Mend what PostgreSQL's words name. The charm tries again.",
            ),
            (
                "its databag holds <n> bytes, more than <n>",
                "Ask for less.",
            ),
            (
                "<key> is not <wanted>: <value>",
                "The key holds another kind of value than the interface has.",
            ),
            (
                "<key> <value> is not allowed: <reason>",
                "Choose another name; the reasons are the next lines.",
            ),
            (
                "<what> is not served",
                "This charm does not have that part of the interface.",
            ),
            ("it is empty", ""),
            ("it is longer than 63 bytes", ""),
            ("it is longer than 32 bytes", ""),
            ("use letters, digits and _ - . $", ""),
            ("use small letters and digits", ""),
            ("it starts with a sign", ""),
            ("it is reserved", ""),
            ("it starts with what is reserved", ""),
            ("a list of 64 extensions or fewer", ""),
            (
                "a JSON list of objects with resource_name, resource_type and privileges",
                "",
            ),
            ("for a TABLE, SEQUENCE, SCHEMA or DATABASE", ""),
            ("for an object with a name", ""),
            ("for an object of the database's own", ""),
            ("for the database that is asked for", ""),
            ("with a list of privileges", ""),
            ("of privileges that such an object has", ""),
            ("v0 or v1", ""),
            ("a JSON list of requests", ""),
            ("a list of 32 requests or fewer", ""),
            ("a JSON list of objects", ""),
            ("a list in which each request-id comes once", ""),
            ("it is missing", ""),
            ("256 bytes or fewer", ""),
            ("with prefix-matching it ends in *", ""),
            ("a group with extra-user-roles", ""),
            ("a user with extra-group-roles", ""),
            ("entity-permissions without an entity-type", ""),
            ("all or only-existing", ""),
            ("prefix-matching with an entity-type", ""),
            ("USER or GROUP", ""),
            ("a list of 32 roles or fewer", ""),
            ("a JSON list of names", ""),
        ],
    ),
    (
        "Why certificates are refused",
        "After `relation certificates:`.",
        &[
            (
                "the provider refuses the request (<code>): <message>",
                "Mend it at the provider.",
            ),
            (
                "the certificate that was issued is for another key",
                "Let the provider issue again.",
            ),
            (
                "the certificate that was issued has expired",
                "Look at the provider's clock.",
            ),
            (
                "the certificate lacks the unit's host name",
                "Let the provider keep the names that were asked for.",
            ),
            (
                "cannot read the certificate: <reason>",
                "The provider gives what is no certificate.",
            ),
            (
                "cannot read the provider's databag: <reason>",
                "The provider does not speak `tls-certificates` version 1.",
            ),
            (
                "<key> is of <n> bytes, more than <n>",
                "(ends the line above)",
            ),
            ("<key>: <reason>", "(the same)"),
            (
                "no certificate in PEM",
                "(ends `cannot read the certificate`)",
            ),
            ("something follows it", "(the same)"),
            ("broken PEM", "(the same)"),
        ],
    ),
    (
        "Why an authority is refused",
        "After `relation receive-ca-cert:<n>:`.",
        &[
            ("<relation>: <reason>", "(names the relation)"),
            ("its databag has <n> bytes", "Hand over fewer certificates."),
            (
                "its <key> are not a list of certificates",
                "The provider does not speak `certificate_transfer`.",
            ),
            ("what it gives is no certificate", "The same."),
        ],
    ),
    (
        "What does not work",
        "After `Kubernetes API fails` and wherever a reason names a service.",
        &[
            (
                "<what> does not answer",
                "Look whether it runs and can be reached.",
            ),
            ("<what> does not permit it", "Grant the right."),
            (
                "<what> is another's",
                "An object of that name belongs to somebody else.",
            ),
            ("cannot <what>", "What follows is its own reason."),
        ],
    ),
    (
        "Names",
        "Parts of the texts above.",
        &[
            ("application <app>", "(an owner)"),
            ("cluster <name>", "(an owner)"),
            ("<kind> <name>", "(an owner)"),
            ("PostgreSQL's binaries", "(what the image lacks)"),
            ("Patroni", "(the same)"),
        ],
    ),
];
