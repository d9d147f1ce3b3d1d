//! Statements for clients: what is run for whom, and that no name can break out of its place.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by them"
)]

use cluster_plan::clients::{
    Batch, Catalogue, Client, DatabaseFacts, Grant, Kind, Login, OwnerFacts, Place, Refusal,
    UserFacts, check, identifier, identity, literal, relation_of, remove, retire, serve, user_name,
};
use cluster_plan::roles::Sql;
use proptest::prelude::*;

fn client(roles: &[&str]) -> Client {
    Client {
        user: "relation_id_5".into(),
        database: "shop".into(),
        roles: roles.iter().map(ToString::to_string).collect(),
        ..Client::default()
    }
}

fn marked() -> OwnerFacts {
    OwnerFacts {
        marked: true,
        ..OwnerFacts::default()
    }
}

fn served(client: &Client) -> Catalogue {
    let mut member_of = client.groups();
    member_of.insert(client.database.clone());
    Catalogue {
        user: Some(UserFacts {
            attributes: ["login"].into(),
            member_of,
            password_fits: true,
            acts_as_owner: true,
            marked: true,
            ..UserFacts::default()
        }),
        second: None,
        roles: [(client.database.clone(), marked())].into(),
        database: Some(DatabaseFacts {
            owned: true,
            of_operator: false,
        }),
        version: "15.18".into(),
    }
}

fn texts(batches: &[Batch]) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| &batch.statements)
        .filter_map(|statement| match &statement.sql {
            Sql::Text(text) => Some(text.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_client_that_has_everything_needs_nothing() {
    assert_eq!(serve(&client(&[]), &served(&client(&[]))), vec![]);
}

#[test]
fn a_new_client_gets_no_more_than_its_database() {
    let batches = serve(&client(&[]), &Catalogue::default());
    let all = texts(&batches);
    for expected in [
        "CREATE ROLE \"shop\" NOLOGIN",
        "CREATE ROLE \"relation_id_5\" LOGIN",
        "GRANT \"relation_access\" TO \"relation_id_5\"",
        "GRANT \"shop\" TO \"relation_id_5\"",
        "CREATE DATABASE \"shop\"",
        "REVOKE ALL ON DATABASE \"shop\" FROM PUBLIC",
        "ALTER DATABASE \"shop\" OWNER TO \"shop\"",
        "ALTER ROLE \"relation_id_5\" IN DATABASE \"shop\" SET role TO 'shop'",
    ] {
        assert!(all.iter().any(|t| t == expected), "{expected} in {all:?}");
    }
    assert!(
        !all.iter()
            .any(|t| t.contains("SUPERUSER") || t.contains("CREATEDB"))
    );
    for batch in &batches {
        let creates = texts(std::slice::from_ref(batch))
            .iter()
            .any(|text| text.starts_with("CREATE DATABASE"));
        assert_eq!(creates, !batch.transaction);
    }
    // Ownership says that all before it is done.
    let owner = all
        .iter()
        .position(|t| t.starts_with("ALTER DATABASE"))
        .unwrap();
    let inside = all.iter().rposition(|t| t.starts_with("DO ")).unwrap();
    assert!(inside < owner);
}

#[test]
fn a_password_is_never_in_a_text() {
    let batches = serve(&client(&[]), &Catalogue::default());
    assert!(
        texts(&batches)
            .iter()
            .all(|text| !text.contains("PASSWORD"))
    );
    let passwords = batches.iter().flat_map(|b| &b.statements);
    let set = passwords.filter(|s| s.sql == Sql::ClientPassword("relation_id_5".into()));
    assert_eq!(set.count(), 1);
}

#[test]
fn attributes_follow_what_is_asked_for() {
    let asked = client(&["admin", "superuser"]);
    let mut there = served(&asked);
    there.user.as_mut().unwrap().attributes = ["login", "createrole"].into();
    let all = texts(&serve(&asked, &there));
    assert!(
        all.contains(&"ALTER ROLE \"relation_id_5\" SUPERUSER CREATEDB NOCREATEROLE".to_owned()),
        "{all:?}"
    );
}

fn grant(name: &[&str], privileges: &[&'static str]) -> Grant {
    Grant {
        on: "TABLE",
        name: name.iter().map(ToString::to_string).collect(),
        privileges: privileges.iter().copied().collect(),
    }
}

#[test]
fn a_user_has_what_is_granted_and_no_more() {
    let user = Client {
        kind: Kind::User,
        grants: [grant(&["s", "t\""], &["SELECT", "INSERT"])].into(),
        withdrawn: [grant(&["old"], &["ALL"])].into(),
        ..client(&[])
    };
    let all = texts(&serve(&user, &served(&client(&[]))));
    for expected in [
        "REVOKE ALL ON TABLE \"public\".\"old\" FROM \"relation_id_5\"",
        "GRANT CONNECT ON DATABASE \"shop\" TO \"relation_id_5\"",
        "GRANT INSERT, SELECT ON TABLE \"s\".\"t\"\"\" TO \"relation_id_5\"",
    ] {
        assert!(all.iter().any(|t| t == expected), "{expected} in {all:?}");
    }
    let all = texts(&serve(&user, &Catalogue::default()));
    assert!(
        !all.iter()
            .any(|t| t == "GRANT \"shop\" TO \"relation_id_5\"")
    );
    assert!(
        !all.iter()
            .any(|t| t.contains("SET role") || t.contains("DEFAULT PRIVILEGES"))
    );
}

#[test]
fn a_group_does_not_log_in() {
    let group = Client {
        kind: Kind::Group,
        ..client(&["pg_monitor"])
    };
    let batches = serve(&group, &Catalogue::default());
    let all = texts(&batches);
    assert!(
        all.contains(&"CREATE ROLE \"relation_id_5\"".to_owned()),
        "{all:?}"
    );
    assert!(all.contains(&"GRANT \"pg_monitor\" TO \"relation_id_5\"".to_owned()));
    assert!(!all.iter().any(|t| t.contains("relation_access")));
    let mut statements = batches.iter().flat_map(|b| &b.statements);
    assert!(!statements.any(|s| matches!(s.sql, Sql::ClientPassword(_))));
}

#[test]
fn a_prefix_leads_into_each_of_its_databases_and_makes_none() {
    let prefix = Client {
        kind: Kind::Prefix(["shop_a", "shop_b"].map(str::to_owned).into()),
        ..client(&[])
    };
    let all = texts(&serve(&prefix, &Catalogue::default()));
    for database in ["shop_a", "shop_b"] {
        assert!(all.contains(&format!("GRANT \"{database}\" TO \"relation_id_5\"")));
    }
    assert!(!all.iter().any(|t| t.contains("DATABASE")), "{all:?}");
}

#[test]
fn roles_that_are_not_for_clients_are_refused_by_name() {
    let mut there = Catalogue::default();
    for role in [
        "operator",
        "relation_id_6",
        "pg_monitor",
        "somebody",
        "till",
    ] {
        there.roles.insert(role.into(), OwnerFacts::default());
    }
    there.roles.get_mut("somebody").unwrap().login = true;
    there.roles.get_mut("till").unwrap().marked = true;
    // Whoever is in it can become superuser.
    let powerful = OwnerFacts {
        powerful: true,
        ..OwnerFacts::default()
    };
    there.roles.insert("dba".into(), powerful);
    assert_eq!(
        check(
            &client(&["pg_monitor", "createdb", "relation_access"]),
            &there
        ),
        Ok(())
    );
    for role in [
        "operator",
        "relation_id_6",
        "somebody",
        "till",
        "dba",
        "none_such",
        "postgres",
    ] {
        assert_eq!(
            check(&client(&[role]), &there),
            Err(Refusal::Roles(role.into()))
        );
    }
}

#[test]
fn a_role_of_the_databases_name_is_not_taken_for_its_owner() {
    let mut there = Catalogue::default();
    for role in [
        OwnerFacts {
            login: true,
            ..marked()
        },
        OwnerFacts {
            powerful: true,
            ..marked()
        },
        OwnerFacts::default(),
    ] {
        there.roles.insert("shop".into(), role);
        assert_eq!(
            check(&client(&[]), &there),
            Err(Refusal::RoleInTheWay("shop".into()))
        );
    }
    there.roles.insert("shop".into(), marked());
    assert_eq!(check(&client(&[]), &there), Ok(()));
}

#[test]
fn a_database_that_a_client_has_made_is_not_another_ones() {
    let mut there = Catalogue::default();
    there.roles.insert("shop".into(), marked());
    for (owned, of_operator, expected) in [
        (false, false, Err(Refusal::DatabaseOfOthers("shop".into()))),
        (true, false, Ok(())),
        (false, true, Ok(())),
    ] {
        there.database = Some(DatabaseFacts { owned, of_operator });
        assert_eq!(check(&client(&[]), &there), expected);
    }
}

#[test]
fn whoever_has_made_a_clients_user_beforehand_keeps_no_way_into_it() {
    let mut there = served(&client(&[]));
    let user = there.user.as_mut().unwrap();
    user.marked = false;
    user.members.insert("maker".into());
    user.member_of.insert("admin".into());
    let all = texts(&serve(&client(&[]), &there));
    for expected in [
        "REVOKE \"relation_id_5\" FROM \"maker\"",
        "REVOKE \"admin\" FROM \"relation_id_5\"",
        "ALTER ROLE \"relation_id_5\" RESET ALL",
        "GRANT USAGE ON SCHEMA \"charm_marks_clients\" TO \"relation_id_5\"",
    ] {
        assert!(all.iter().any(|t| t == expected), "{expected} in {all:?}");
    }
}

fn places() -> [Place; 2] {
    [("shop", true, false), ("its own", false, true)].map(|(database, owned, closed)| Place {
        database: database.to_owned(),
        owned,
        closed,
        half_dropped: false,
    })
}

#[test]
fn removing_a_user_passes_on_what_it_owns_first() {
    let all = texts(&remove("relation_id_5", &places()));
    let at = |text: &str| {
        all.iter()
            .position(|t| t == text)
            .unwrap_or_else(|| panic!("{text}: {all:?}"))
    };
    let passed = at("REASSIGN OWNED BY \"relation_id_5\" TO \"shop\"");
    assert_eq!(all[passed + 1], "DROP OWNED BY \"relation_id_5\"");
    assert!(at("ALTER ROLE \"relation_id_5\" NOLOGIN") < passed);
    assert_eq!(at("DROP ROLE \"relation_id_5\""), all.len() - 1);
    assert!(all.iter().all(|text| !text.contains("DROP DATABASE")));
}

#[test]
fn a_users_sessions_end_before_anything_waits_for_their_locks() {
    let all = texts(&remove("relation_id_5", &places()));
    assert!(all[0].contains("pg_terminate_backend"), "{all:?}");
    let last = &all[all.len() - 3];
    assert!(
        last.contains("pg_terminate_backend") && last.contains("pg_locks"),
        "others grant something to it: {last}"
    );
}

#[test]
fn a_database_that_is_half_dropped_is_not_entered_but_goes() {
    let [mut place, _] = places();
    place.half_dropped = true;
    let batches = remove("relation_id_5", &[place]);
    assert!(batches.iter().all(|batch| batch.database == "postgres"));
    assert!(texts(&batches).contains(&"DROP DATABASE IF EXISTS \"shop\"".to_owned()));
}

#[test]
fn no_superuser_inherits_what_a_client_leaves() {
    let all = texts(&remove("relation_id_5", &places()));
    let heirs: Vec<&str> = all
        .iter()
        .filter_map(|text| text.strip_prefix("REASSIGN OWNED BY \"relation_id_5\" TO "))
        .collect();
    let leftovers = "\"relation_leftovers\"";
    assert_eq!(heirs, [leftovers, "\"shop\"", leftovers]);
}

#[test]
fn a_database_that_lets_nobody_in_is_opened_for_the_removal_alone() {
    let batches = remove("relation_id_5", &places());
    let at = |text: &str| {
        let found = batches
            .iter()
            .position(|b| texts(std::slice::from_ref(b)) == [text]);
        found.unwrap_or_else(|| panic!("{text}: {batches:?}"))
    };
    let opened = at("ALTER DATABASE \"its own\" ALLOW_CONNECTIONS true");
    let closed = at("ALTER DATABASE \"its own\" ALLOW_CONNECTIONS false");
    let between = &batches[opened + 1..closed];
    assert!(!between.is_empty() && between.iter().all(|batch| batch.database == "its own"));
}

#[test]
fn what_is_granted_in_a_database_its_owner_grants() {
    let user = Client {
        kind: Kind::User,
        grants: [grant(&["pg_authid"], &["SELECT"])].into(),
        ..client(&[])
    };
    let batches = serve(&user, &served(&client(&[])));
    let inside = batches
        .iter()
        .find(|batch| batch.database == "shop")
        .unwrap();
    let all = texts(std::slice::from_ref(inside));
    assert_eq!(all[0], "SET LOCAL ROLE \"shop\"");
    assert!(inside.transaction);
    // The catalogue's table of that name is not meant.
    let granted = "GRANT SELECT ON TABLE \"public\".\"pg_authid\" TO \"relation_id_5\"";
    assert!(all.iter().any(|t| t == granted), "{all:?}");
}

#[test]
fn users_tell_their_relation() {
    assert_eq!(relation_of(&user_name(5, None)), Some(5));
    assert_eq!(relation_of(&user_name(17, Some("0a1b"))), Some(17));
    for request in [None, Some("0a1b")] {
        let user = user_name(17, request);
        let second = Login::Second.of(&user);
        assert_eq!(relation_of(&second), Some(17));
        assert_eq!((identity(&second), identity(&user)), (&*user, &*user));
    }
    for other in [
        "relation_id_",
        "relation_id_x",
        "relation_id_5_",
        "relation_id_5_X",
        "operator",
    ] {
        assert_eq!(relation_of(other), None, "{other}");
    }
}

/// Reads SQL as PostgreSQL's lexer does, as far as quotes go: the names and literals in it, and
/// what is left outside of them. None where a quote is not closed.
fn lexed(sql: &str) -> Option<(Vec<String>, String)> {
    let mut tokens = Vec::new();
    let mut outside = String::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let quote = match c {
            '"' | '\'' => c,
            other => {
                outside.push(other);
                continue;
            }
        };
        let escapes = quote == '\'' && outside.ends_with('E');
        let mut token = String::new();
        loop {
            match chars.next()? {
                '\\' if escapes => token.push(chars.next()?),
                c if c == quote && chars.peek() == Some(&quote) => {
                    chars.next();
                    token.push(quote);
                }
                c if c == quote => break,
                c => token.push(c),
            }
        }
        tokens.push(token);
        outside.push('?');
    }
    Some((tokens, outside))
}

proptest! {
    #[test]
    fn any_text_stays_within_its_quotes(name in "[\\x00-\\x7fé'\"\\\\;$]{0,30}") {
        let bare = name.replace('\0', "");
        prop_assert_eq!(lexed(&identifier(&name)).unwrap(), (vec![bare.clone()], "?".into()));
        let (tokens, outside) = lexed(&literal(&name)).unwrap();
        prop_assert_eq!(tokens, vec![bare]);
        prop_assert!(outside == "?" || outside == " E?");
    }

    /// Even if no name were checked before: the statements' own words stay the same.
    #[test]
    fn no_name_changes_what_a_statement_says(
        user in "[a-z'\"\\\\; -]{1,12}", database in "[a-z'\"\\\\; -]{1,12}",
        role in "[a-z'\"\\\\; -]{1,12}",
    ) {
        let statements = |user: &str, database: &str, role: &str| {
            let client = Client {
                user: user.into(),
                database: database.into(),
                roles: [role.to_owned()].into(),
                ..Client::default()
            };
            let mut batches = serve(&client, &Catalogue::default());
            let place = Place {
                database: database.into(),
                owned: true,
                closed: true,
                half_dropped: false,
            };
            let mut broken = place.clone();
            broken.half_dropped = true;
            batches.extend(remove(user, &[place, broken]));
            let outside = |text: &String| lexed(text).map(|(_, o)| o.replace(" E?", "?").replace("  ", " "));
            texts(&batches).iter().map(outside).collect::<Option<Vec<_>>>()
        };
        prop_assume!(!["createdb", "createrole", "superuser", "admin"].contains(&role.as_str()));
        let mut plain = statements("u", "d", "zz").unwrap();
        let mut odd = statements(&user, &database, &role).unwrap();
        // The order of groups follows their names.
        plain.sort();
        odd.sort();
        prop_assert_eq!(plain, odd);
    }
}

#[test]
fn a_second_login_may_log_in_only_when_it_acts_as_its_user() {
    let second = |roles: &[&str]| Client {
        login: Login::Second,
        ..client(roles)
    };
    let plain = second(&[]);
    let all = texts(&serve(&plain, &served(&plain)));
    let position = |text: &str| {
        all.iter()
            .position(|t| t == text)
            .unwrap_or_else(|| panic!("{text} in {all:?}"))
    };
    let acts = position("ALTER ROLE \"relation_id_5__2\" SET role TO 'relation_id_5'");
    let owner = position("ALTER ROLE \"relation_id_5__2\" IN DATABASE \"shop\" SET role TO 'shop'");
    let member = position("GRANT \"relation_id_5\" TO \"relation_id_5__2\"");
    let enters = position("ALTER ROLE \"relation_id_5__2\" LOGIN");
    assert!(member < acts && acts < enters && owner < enters);
    // Without it, PostgreSQL would not let it into a database that it may not connect to.
    let superuser = second(&["superuser"]);
    let all = texts(&serve(&superuser, &served(&superuser)));
    let enters = "ALTER ROLE \"relation_id_5__2\" LOGIN SUPERUSER";
    assert!(all.iter().any(|t| t == enters), "{all:?}");
    // It has what it needs: nothing is run, and the first login is left as it is.
    let mut catalogue = served(&plain);
    catalogue.second.clone_from(&catalogue.user);
    if let Some(user) = &mut catalogue.user {
        user.attributes.clear();
        user.password_fits = false;
    }
    assert_eq!(serve(&plain, &catalogue), vec![]);
}

#[test]
fn a_second_login_that_goes_leaves_what_it_owns_to_its_user() {
    let batches = retire("relation_id_5", Login::Second, &["shop".into()]);
    let places: Vec<&str> = batches.iter().map(|b| b.database.as_str()).collect();
    assert_eq!(places, ["shop", "postgres"]);
    let all = texts(&batches);
    assert_eq!(
        all[0],
        "REASSIGN OWNED BY \"relation_id_5__2\" TO \"relation_id_5\""
    );
    assert_eq!(all.last().unwrap(), "DROP ROLE \"relation_id_5__2\"");
}

#[test]
fn a_predefined_role_is_asked_for_alone_or_charmed_admin_with_createdb() {
    let mut there = Catalogue {
        version: "15.18".into(),
        ..Catalogue::default()
    };
    for role in [
        "charmed_stats",
        "charmed_read",
        "charmed_dml",
        "charmed_admin",
        "charmed_backup",
        "charmed_dba",
        "charmed_databases_owner",
        "charmed_till_owner",
        "admin",
        "pg_monitor",
    ] {
        there.roles.insert(role.into(), OwnerFacts::default());
    }
    for taken in [
        &["charmed_stats"][..],
        &["charmed_read", "relation_access"],
        &["charmed_dml"],
        &["charmed_admin"],
        &["charmed_admin", "createdb"],
        &["createdb"],
        &["admin"],
        &["admin", "createdb", "pg_monitor"],
        &["superuser"],
    ] {
        assert_eq!(check(&client(taken), &there), Ok(()), "{taken:?}");
    }
    for refused in [
        &["charmed_read", "charmed_dml"][..],
        &["charmed_read", "createdb"],
        &["charmed_admin", "createdb", "createrole"],
        &["charmed_admin", "superuser"],
        &["charmed_backup"],
        &["charmed_dba"],
        &["charmed_databases_owner"],
        &["charmed_till_owner"],
        &["charmed_dml", "admin"],
    ] {
        let refusal = check(&client(refused), &there).unwrap_err();
        let begins = "invalid role(s) for extra user roles: charmed_";
        assert!(refusal.to_string().starts_with(begins), "{refusal}");
    }
    // Before them such a role is anybody's.
    there.version = "14.23".into();
    assert_eq!(
        check(&client(&["charmed_read", "charmed_backup"]), &there),
        Ok(())
    );
}

#[test]
fn a_database_whose_name_roles_have_is_refused_where_there_are_such_roles() {
    for (version, name, refused) in [
        ("15.18", "databases", true),
        ("16.4", "charmed_shop_owner", true),
        ("14.23", "databases", false),
        ("15.18", "shop", false),
    ] {
        let asked = Client {
            database: name.into(),
            ..client(&[])
        };
        let there = Catalogue {
            version: version.into(),
            ..Catalogue::default()
        };
        let told = check(&asked, &there).map_err(|refusal| refusal.to_string());
        let expected = format!("invalid database name: {name}");
        assert_eq!(told, if refused { Err(expected) } else { Ok(()) });
    }
}

#[test]
fn who_asks_for_a_predefined_role_that_only_looks_owns_nothing() {
    for role in ["charmed_stats", "charmed_read", "charmed_dml"] {
        let all = texts(&serve(&client(&[role]), &Catalogue::default()));
        let owns = "GRANT \"shop\" TO \"relation_id_5\"".to_owned();
        assert!(!all.contains(&owns), "{all:?}");
        assert!(all.contains(&format!("GRANT \"{role}\" TO \"relation_id_5\"")));
        assert!(all.contains(&"GRANT \"relation_any_database\" TO \"relation_id_5\"".to_owned()));
        assert!(!all.iter().any(|text| text.contains("SET role")), "{all:?}");
    }
    let all = texts(&serve(&client(&["charmed_admin"]), &Catalogue::default()));
    let acts = "ALTER ROLE \"relation_id_5\" IN DATABASE \"shop\" SET role TO 'shop'".to_owned();
    assert!(all.contains(&acts), "{all:?}");
}
