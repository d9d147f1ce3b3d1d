use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::support::Server;

const BOUNDARY: &str = "0123456789abcdef0123456789abcdef";

fn write(server: &Server, metadata: &Value, parts: &[(&str, &str)]) -> (u16, Value) {
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{metadata}\r\n"
    );
    for (path, content) in parts {
        body += format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{path}\"\r\n\r\n{content}\r\n"
        )
        .as_str();
    }
    body += format!("--{BOUNDARY}--\r\n").as_str();
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}"
    );
    let (status, _, body) = server.raw(&head, body.as_bytes());
    (
        status,
        serde_json::from_slice::<Value>(&body).unwrap()["result"].clone(),
    )
}

#[test]
fn files_are_written_whole_with_mode_and_parents() {
    let server = Server::start();
    let path = |name: &str| server.path(name).to_str().unwrap().to_owned();
    let (one, two, none) = (path("a/b/one"), path("two"), path("no/such/three"));
    std::os::unix::fs::symlink("/dev/null", &two).unwrap();
    let metadata = json!({"action": "write", "files": [
        {"path": one, "make-dirs": true, "permissions": "600"},
        {"path": two, "user": null},
        {"path": none},
        {"path": "relative"},
        {"path": path("four"), "permissions": "0644"},
        {"path": path("five")},
        {"path": path("si*")},
    ]});
    let parts = [
        (one.as_str(), "first"),
        (two.as_str(), "second"),
        (none.as_str(), ""),
        ("relative", ""),
        (&path("four"), ""),
        (&path("si*"), ""),
    ];
    let (status, result) = write(&server, &metadata, &parts);
    assert_eq!(status, 200);
    assert_eq!(result[0], json!({"path": one}));
    assert_eq!(result[1], json!({"path": two}));
    assert_eq!(std::fs::read_to_string(&one).unwrap(), "first");
    assert_eq!(
        std::fs::metadata(&one).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(
        std::fs::metadata(server.path("a")).unwrap().mode() & 0o777,
        0o755
    );
    assert!(
        std::fs::symlink_metadata(&two).unwrap().is_file(),
        "the link is replaced"
    );
    assert_eq!(std::fs::metadata(&two).unwrap().mode() & 0o777, 0o644);
    assert_eq!(result[2]["error"]["kind"], "not-found");
    let message = result[2]["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("open {none}."))
            && message.ends_with("~: no such file or directory"),
        "{message}"
    );
    assert_eq!(
        result[3]["error"]["message"],
        "paths must be absolute, got \"relative\""
    );
    assert_eq!(
        result[4]["error"]["message"],
        "permissions must be a 3-digit octal string, got \"0644\""
    );
    assert_eq!(
        result[5]["error"]["message"],
        format!("no file content for path \"{}\"", path("five"))
    );
    assert_eq!(
        result[6]["error"]["message"],
        format!(
            "cannot create tempfile for filename containing '*': \"{}\"",
            path("si*")
        )
    );
    let left: Vec<_> = std::fs::read_dir(server.directory.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.ends_with('~'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn bodies_that_are_no_write_are_refused() {
    let server = Server::start();
    let refused = |metadata: &Value, parts: &[(&str, &str)]| {
        let (status, result) = write(&server, metadata, parts);
        assert_eq!(status, 400);
        result["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        refused(&json!({"action": "x"}), &[]),
        "multipart action must be \"write\", got \"x\""
    );
    assert_eq!(
        refused(&json!({"action": "write", "files": []}), &[]),
        "must specify one or more files"
    );
    let files = json!({"action": "write", "files": [{"path": "/x"}]});
    assert_eq!(
        refused(&files, &[("/y", "")]),
        "no metadata for path \"/y\""
    );
    let post = |kind: &str, body: &str| {
        let (_, _, answer) = server.raw(
            &format!("POST /v1/files HTTP/1.1\r\nContent-Type: {kind}"),
            body.as_bytes(),
        );
        serde_json::from_slice::<Value>(&answer).unwrap()["result"]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        post("multipart/form-data; boundary=x", ""),
        "invalid boundary \"x\""
    );
    assert_eq!(post("text/plain", ""), "invalid media type \"text/plain\"");
    assert_eq!(
        post("application/json", "{\"action\":\"write\"}"),
        "must use multipart with \"write\" action"
    );
    assert_eq!(
        post("application/json", "{\"action\":\"x\"}"),
        "invalid action \"x\""
    );
}

#[test]
fn files_are_read_as_parts_before_the_answer() {
    let server = Server::start();
    std::fs::write(server.path("one"), "content\r\n--of one").unwrap();
    let (one, none) = (server.path("one"), server.path("none"));
    let target = format!(
        "/v1/files?action=read&path={}&path={}&path=/&path=x",
        one.display(),
        none.display()
    );
    assert_eq!(
        server.get(&target).message(),
        "must accept multipart/form-data"
    );
    let (status, head, body) = server.raw(
        &format!("GET {target} HTTP/1.1\r\nAccept: multipart/form-data"),
        b"",
    );
    assert_eq!(status, 200);
    let boundary = head
        .split("boundary=")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    assert_eq!(boundary.len(), 60);
    let body = String::from_utf8(body).unwrap();
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4);
    assert!(parts[1].contains(&format!(
        "name=\"files\"; filename=\"{}\"\r\n",
        one.display()
    )));
    assert!(
        parts[1].ends_with("\r\n\r\ncontent\r\n--of one\r\n"),
        "{:?}",
        parts[1]
    );
    let answer: Value = serde_json::from_str(parts[2].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let result = &answer["result"];
    assert_eq!(result[0], json!({"path": one}));
    assert_eq!(result[1]["error"]["kind"], "not-found");
    assert_eq!(
        result[1]["error"]["message"],
        format!("stat {}: no such file or directory", none.display())
    );
    assert_eq!(
        result[2]["error"]["message"],
        "can only read a regular file: \"/\""
    );
    assert_eq!(
        result[3]["error"]["message"],
        "paths must be absolute, got \"x\""
    );
}

#[test]
fn directories_are_made_and_removed() {
    let server = Server::start();
    let path = |name: &str| server.path(name).to_str().unwrap().to_owned();
    let make = |item: Value| {
        server
            .post("/v1/files", &json!({"action": "make-dirs", "dirs": [item]}))
            .result()[0]
            .clone()
    };
    assert_eq!(
        make(json!({"path": path("d"), "permissions": "711"})),
        json!({"path": path("d")})
    );
    assert_eq!(std::fs::metadata(path("d")).unwrap().mode() & 0o777, 0o711);
    assert_eq!(
        make(json!({"path": path("d")}))["error"]["message"],
        format!("mkdir {}: file exists", path("d"))
    );
    assert_eq!(
        make(json!({"path": path("d"), "make-parents": true})),
        json!({"path": path("d")})
    );
    assert_eq!(
        make(json!({"path": path("e/f")}))["error"]["kind"],
        "not-found"
    );
    assert_eq!(
        make(json!({"path": path("e/f"), "make-parents": true})),
        json!({"path": path("e/f")})
    );
    std::fs::write(path("file"), "").unwrap();
    assert_eq!(
        make(json!({"path": path("file"), "make-parents": true}))["error"]["message"],
        format!("mkdir {}: not a directory", path("file"))
    );
    let remove = |name: &str, recursive: bool| {
        let item = json!({"path": path(name), "recursive": recursive});
        server
            .post("/v1/files", &json!({"action": "remove", "paths": [item]}))
            .result()[0]
            .clone()
    };
    assert_eq!(
        remove("e", false)["error"]["message"],
        format!("remove {}: directory not empty", path("e"))
    );
    assert_eq!(remove("e", true), json!({"path": path("e")}));
    assert_eq!(remove("e", true), json!({"path": path("e")}));
    assert_eq!(remove("e", false)["error"]["kind"], "not-found");
    assert_eq!(remove("file", false), json!({"path": path("file")}));
}

#[test]
fn lists_say_what_is_there() {
    let server = Server::start();
    let dir = server.path("l");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("b.txt"), "12345").unwrap();
    std::fs::create_dir(dir.join("a")).unwrap();
    std::os::unix::fs::symlink("b.txt", dir.join("c")).unwrap();
    let list = |rest: &str| {
        server.get(&format!(
            "/v1/files?action=list&path={}{rest}",
            dir.display()
        ))
    };
    let answer = list("");
    let found = answer.result().as_array().unwrap();
    let shown: Vec<(&str, &str)> = found
        .iter()
        .map(|f| (f["name"].as_str().unwrap(), f["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [("a", "directory"), ("b.txt", "file"), ("c", "symlink")]
    );
    assert_eq!((&found[1]["size"], found[0].get("size")), (&json!(5), None));
    assert_eq!(found[1]["path"], dir.join("b.txt").to_str().unwrap());
    assert_eq!(list("&pattern=*.txt").result().as_array().unwrap().len(), 1);
    assert_eq!(list("&itself=true").result()[0]["name"], "l");
    let answer = list("&pattern=[");
    assert_eq!(
        (answer.status, answer.message()),
        (400, "syntax error in pattern")
    );
    assert_eq!(
        list("&itself=x").message(),
        "itself parameter must be \"true\" or \"false\""
    );
    let answer = server.get("/v1/files?action=list&path=/no/such");
    assert_eq!(
        (answer.status, answer.message()),
        (404, "stat /no/such: no such file or directory")
    );
    assert_eq!(answer.result()["kind"], "not-found");
    assert_eq!(
        server.get("/v1/files?action=list").message(),
        "must specify path"
    );
    assert_eq!(
        server.get("/v1/files?action=list&path=x").message(),
        "path must be absolute, got \"x\""
    );
}

#[test]
fn the_client_moves_files_both_ways() {
    let server = Server::start();
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    std::fs::write(server.path("local"), &content).unwrap();
    let path = |name: &str| server.path(name).to_str().unwrap().to_owned();
    let run = |args: &[&str]| {
        let output = server.client(args, b"");
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["push", "-p", "-m", "640", &path("local"), &path("r/remote")]);
    run(&["pull", &path("r/remote"), &path("back")]);
    assert_eq!(std::fs::read(server.path("back")).unwrap(), content);
    assert_eq!(run(&["ls", &path("r")]), "remote\n");
    run(&["mkdir", "-p", &path("m/n")]);
    run(&["rm", "-r", &path("m")]);
    let output = server.client(&["rm", &path("m")], b"");
    assert_eq!(output.status.code(), Some(1));
}
