use proptest::prelude::*;

use super::*;

fn layer(yaml: &str) -> Layer {
    Layer::parse("test", yaml).unwrap()
}

fn refused(yaml: &str) -> String {
    Layer::parse("test", yaml).unwrap_err()
}

fn stack(yamls: &[&str]) -> Stack {
    let mut stack = Stack::default();
    for (at, yaml) in yamls.iter().enumerate() {
        stack
            .add(&format!("layer-{at}"), layer(yaml), false, false)
            .unwrap();
    }
    stack
}

#[test]
fn a_plan_is_rendered_like_pebble_renders_it() {
    let plan = Layer::combined([&layer(
        "services:\n a:\n  override: replace\n  command: sleep 100\n  requires: [b]\n  \
         environment: {B: 1, A: 'yes'}\n  backoff-factor: 2.0\n  kill-delay: 90s\n b:\n  command: x\n  override: merge\n\
         checks:\n c:\n  override: replace\n  tcp: {port: 80}\n  period: 500ms\n",
    )]);
    assert_eq!(
        plan.to_yaml(),
        "services:\n    a:\n        override: replace\n        command: sleep 100\n        \
         requires:\n            - b\n        environment:\n            A: \"yes\"\n            \
         B: \"1\"\n        backoff-factor: 2\n        kill-delay: 1m30s\n    b:\n        override: merge\n        \
         command: x\nchecks:\n    c:\n        override: replace\n        period: 500ms\n        \
         threshold: 3\n        tcp:\n            port: 80\n"
    );
    assert_eq!(Layer::default().to_yaml(), "{}\n");
}

#[test]
fn a_merge_keeps_what_the_new_layer_does_not_say() {
    let stack = stack(&[
        "services: {a: {override: replace, command: x, after: [q], environment: {A: '1'}}}",
        "services: {a: {override: merge, after: [q], environment: {B: '2'}, user-id: 0}}",
    ]);
    let plan = stack.plan().unwrap();
    let service = &plan.services["a"];
    assert_eq!(
        (service.command.as_str(), service.environment.len()),
        ("x", 2)
    );
    assert_eq!((service.after.len(), service.user_id), (2, Some(0)));
    assert_eq!(service.override_, "replace");
}

#[test]
fn combining_goes_into_the_layer_of_that_label_where_it_lies() {
    let mut stack = stack(&[
        "services: {a: {override: replace, command: x}}",
        "services: {a: {override: merge, summary: top}}",
    ]);
    let low = layer("services: {a: {override: replace, command: y}}");
    let plan = stack.add("layer-0", low.clone(), true, false).unwrap();
    assert_eq!(plan.services["a"].command, "y");
    assert_eq!(plan.services["a"].summary, "top");
    let why = stack
        .add("layer-0", low.clone(), false, false)
        .unwrap_err()
        .to_string();
    assert_eq!(why, "layer \"layer-0\" already exists");
    stack.add("grp/one", low.clone(), false, false).unwrap();
    stack.add("top", low.clone(), false, false).unwrap();
    assert!(matches!(
        stack.add("grp/two", low.clone(), true, false),
        Err(Refusal::Inner)
    ));
    stack.add("grp/two", low, true, true).unwrap();
}

#[test]
fn what_is_wrong_with_a_layer_is_said_in_pebbles_words() {
    let cases = [
        (
            "foo: {}",
            "cannot parse layer \"test\": unknown section \"foo\"",
        ),
        (
            "services:\n a:\n  override: replace\n  foo: 1\n",
            "cannot parse layer \"test\" section \"services\": yaml: unmarshal errors:\n  \
             line 4: field foo not found in type plan.Service",
        ),
        (
            "services: {a: {command: x}}",
            "layer \"test\" must define \"override\" for service \"a\"",
        ),
        (
            "checks: {a: {override: x}}",
            "layer \"test\" has invalid \"override\" value for check \"a\"",
        ),
        (
            "services: {a: null}",
            "service object cannot be null for service \"a\"",
        ),
        (
            "services: {pebble: {override: merge}}",
            "cannot use reserved service name \"pebble\"",
        ),
        (
            "services: {a: {override: merge, on-success: x}}",
            "plan service \"a\" on-success action \"x\" invalid",
        ),
        (
            "services: {a: {override: merge, backoff-factor: 0.5}}",
            "plan service \"a\" backoff-factor must be 1.0 or greater, not 0.5",
        ),
        (
            "services: {a: {override: merge, kill-delay: 5}}",
            "cannot parse layer \"test\" section \"services\": invalid duration \"5\"",
        ),
        (
            "checks: {a: {override: merge, period: 0s}}",
            "plan check \"a\" period must not be zero",
        ),
        (
            "log-targets: {a: {override: merge, type: x}}",
            "log target \"a\" has unsupported type \"x\", must be \"loki\", \"opentelemetry\" or \
             \"syslog\"",
        ),
    ];
    for (yaml, why) in cases {
        assert_eq!(refused(yaml), why);
    }
}

#[test]
fn what_the_plan_lacks_is_said_in_pebbles_words() {
    let cases = [
        (
            "services: {a: {override: merge}}",
            "plan must define \"command\" for service \"a\"",
        ),
        (
            "services: {a: {override: merge, command: x, requires: [y]}}",
            "service \"y\" does not exist",
        ),
        (
            "services: {a: {override: merge, command: x, after: [b]}, \
             b: {override: merge, command: x, after: [a]}}",
            "services in before/after loop: a, b",
        ),
        (
            "checks: {a: {override: merge}}",
            "plan must specify one of \"http\", \"tcp\", or \"exec\" for check \"a\"",
        ),
        (
            "checks: {a: {override: merge, http: {}}}",
            "plan must set \"url\" for http check \"a\"",
        ),
        (
            "checks: {a: {override: merge, exec: {command: x, service-context: y}}}",
            "plan check \"a\" service context specifies non-existent service \"y\"",
        ),
        (
            "log-targets: {a: {override: merge, type: loki, location: l, services: [x]}}",
            "log target \"a\" specifies unknown service \"x\"",
        ),
    ];
    for (yaml, why) in cases {
        let added = Stack::default().add("test", layer(yaml), false, false);
        assert_eq!(added.unwrap_err().to_string(), why);
    }
}

#[test]
fn services_start_after_what_they_name_and_stop_before_it() {
    let plan = layer(
        "services:\n a: {override: merge, command: x, requires: [c], after: [c]}\n \
         b: {override: merge, command: x, before: [c]}\n c: {override: merge, command: x}\n",
    );
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).to_owned()).collect() };
    assert_eq!(
        plan.order(&names(&["a"]), Action::Start).unwrap(),
        ["c", "a"]
    );
    assert_eq!(
        plan.order(&names(&["c"]), Action::Stop).unwrap(),
        ["a", "c"]
    );
    let all = plan.order(&names(&["a", "b", "c"]), Action::Start).unwrap();
    assert_eq!(all, ["b", "c", "a"]);
    assert_eq!(plan.lanes(&all), [vec!["b"], vec!["c", "a"]]);
}

#[test]
fn layer_files_are_read_in_the_order_of_their_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "002-second.yaml",
        "services: {a: {override: merge, summary: two}}",
    );
    write(
        "001-first.yaml",
        "services: {a: {override: replace, command: x, summary: one}}",
    );
    write(
        "003-more.d/001-sub.yaml",
        "services: {a: {override: merge, description: sub}}",
    );
    write("README", "");
    let plan = Stack::load(directory.path()).unwrap().plan().unwrap();
    assert_eq!(plan.services["a"].summary, "two");
    assert_eq!(plan.services["a"].description, "sub");
    write("1-bad.yaml", "");
    assert!(Stack::load(directory.path()).is_err());
}

fn any_service() -> impl Strategy<Value = Service> {
    let texts = proptest::collection::btree_map("[A-Z]{1,2}", any::<String>(), 0..3);
    let names = proptest::collection::vec("[a-z]{1,3}", 0..3);
    let mode = prop_oneof![Just("merge".to_owned()), Just("replace".to_owned())];
    (
        mode,
        any::<String>(),
        "[a-z]{0,2}",
        texts,
        names,
        any::<Option<u32>>(),
    )
        .prop_map(
            |(override_, summary, command, environment, after, user_id)| Service {
                summary,
                override_,
                command,
                after,
                environment,
                user_id,
                ..Service::default()
            },
        )
}

fn any_layer(merge_only: bool) -> impl Strategy<Value = Layer> {
    proptest::collection::btree_map("[a-c]", any_service(), 0..3).prop_map(move |mut services| {
        if merge_only {
            for service in services.values_mut() {
                "merge".clone_into(&mut service.override_);
            }
        }
        Layer {
            services,
            ..Layer::default()
        }
    })
}

proptest! {
    #[test]
    fn what_is_rendered_reads_back(layer in any_layer(false)) {
        let yaml = layer.to_yaml();
        match Layer::parse("x", &yaml) {
            Ok(back) => prop_assert_eq!(back, layer, "{}", yaml),
            Err(why) => return Err(TestCaseError::fail(format!("{why}\n{yaml}"))),
        }
    }

    #[test]
    fn combining_merges_is_associative(
        a in any_layer(true), b in any_layer(true), c in any_layer(true),
    ) {
        let mut left = a.clone();
        left.add(&b);
        left.add(&c);
        let mut upper = b;
        upper.add(&c);
        let mut right = a;
        right.add(&upper);
        prop_assert_eq!(left, right);
    }

    #[test]
    fn no_yaml_makes_it_panic(text in "[-a-z:{}\\[\\], \n\"']{0,60}") {
        let _ = Layer::parse("x", &text);
    }
}
