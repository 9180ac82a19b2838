use super::*;
use crate::config::RunConfig;

const WHOLE: &str = r#"
name = "node-sqlite-ws"
summary = "Node.js, ws and better-sqlite3"
connector = "sqlite_ws_rpc"
encoding = "json"
durability = "durable"
untested = false
labels = { runtime = "node" }
[setup]
commands = [["npm", "ci"]]
[version]
command = ["node", "--version"]
[start]
command = ["node", "server.mjs", "--port", "{port}", "--database", "{database}", "{\"a\":1}"]
environment = { NODE_ENV = "production", SIZE = "{accounts}" }
directory = "."
ready = "port"
start_timeout = "20s"
stop_signal = "SIGINT"
stop_timeout = "500ms"
data = "{database}"
[connect]
path = "/other"
"#;

const SHORT: &str = r#"
name = "a"
summary = "b"
connector = "sqlite_rpc"
durability = "not told"
"#;

fn parse(text: &str) -> Result<TargetFile, String> {
    TargetFile::parse(text, Path::new("some/target.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_file_says_how_a_server_is_started_and_what_the_record_shows_of_it() {
    let file = parse(WHOLE).unwrap();
    let choices = Choices {
        version: Some("v20".to_owned()),
        arguments: vec!["--batch-size".to_owned(), "10".to_owned()],
        data_dir: "/data".into(),
        ..Choices::default()
    };
    let target = file.target(Path::new("/folder"), choices);
    let Target::Command { start, url, .. } = &target else {
        panic!("{target:?}");
    };
    assert_eq!(url.0, "ws://127.0.0.1:{port}");
    assert_eq!(start.0.stop_signal.0, nix::sys::signal::Signal::SIGINT);
    assert_eq!(start.0.stop_timeout, Duration::from_millis(500));
    assert_eq!(start.0.directory, Path::new("/folder/."));
    let command = file.start.as_ref().unwrap().command.iter();
    let appended: Vec<&str> = command
        .map(String::as_str)
        .chain(["--batch-size", "10"])
        .collect();
    assert_eq!(start.0.command, appended);
    assert_eq!(target.data_place().unwrap(), Path::new("/data"));
    let record = serde_json::to_value(&target).unwrap();
    assert_eq!(record["about"]["name"], "node-sqlite-ws");
    assert_eq!(record["about"]["version"], "v20");
    assert_eq!(
        record["about"]["arguments"],
        serde_json::json!(["--batch-size", "10"])
    );
    let config = RunConfig {
        target,
        ..RunConfig::default()
    };
    assert_eq!(config.compared()["target_args"], "--batch-size 10");
    let flags = config.to_flags();
    let again = ("target-args".to_owned(), Some("--batch-size 10".to_owned()));
    assert!(flags.contains(&again), "{flags:?}");
    assert_eq!(record["about"]["durability"], "durable");
    assert_eq!(record["start"], "redacted");
}

#[test]
fn what_is_left_out_is_the_default() {
    let file = parse(&format!(
        "{SHORT}[start]\ncommand = [\"server\", \"{{port}}\"]"
    ))
    .unwrap();
    let start = file.start.unwrap();
    assert_eq!(start.ready, Ready::Health);
    assert_eq!(start.start_timeout, Duration::from_secs(30));
    assert_eq!(start.stop_timeout, Duration::from_secs(10));
    assert_eq!(start.stop_signal, StopSignal::default());
    assert_eq!(
        start.data_place(Path::new("/data")),
        None,
        "nobody names it"
    );
}

#[test]
fn what_is_wrong_is_named_with_file_and_key() {
    let start = "[start]\ncommand = [\"x\"]\n";
    for (text, says) in [
        (
            format!("colour = \"red\"\n{SHORT}"),
            "line 1: unknown field 'colour'",
        ),
        (
            format!("{SHORT}{start}reddy = \"port\""),
            "unknown field 'reddy'",
        ),
        (SHORT.replace("name = \"a\"", ""), "missing field 'name'"),
        (SHORT.replace("\"a\"", "\"A b\""), "name: 'A b'"),
        (
            SHORT.replace("sqlite_rpc", "postgres"),
            "unknown variant 'postgres'",
        ),
        (
            SHORT.replace("not told", "perhaps"),
            "unknown variant 'perhaps'",
        ),
        (SHORT.to_owned(), "[start], or [connect] with a url"),
        (format!("{SHORT}[start]\ncommand = []"), "start.command"),
        (
            format!("{SHORT}[start]\ncommand = [\"x\", \"{{prot}}\"]"),
            "start.command: '{prot}' is not a placeholder (did you mean {port}?): there are",
        ),
        (
            format!("{SHORT}{start}environment = {{ A = \"{{home}}\" }}"),
            "start.environment: '{home}'",
        ),
        (
            format!("{SHORT}{start}stop_signal = \"TERM\""),
            "'TERM' is not a signal",
        ),
        (format!("{SHORT}{start}start_timeout = \"soon\""), "'soon'"),
        (format!("{SHORT}{start}stop_timeout = \"2h\""), "'2h'"),
        (
            format!("{SHORT}[connect]\nurl = \"ws://h\""),
            "reached at http://",
        ),
        (
            format!("{SHORT}{start}[connect]\nurl = \"http://h\""),
            "connect.url",
        ),
        (
            format!("{SHORT}{start}[connect]\npath = \"a\""),
            "connect.path",
        ),
        (
            format!("{SHORT}{start}[connect]\nsubprotocol = \"a\""),
            "connect.subprotocol",
        ),
        (
            format!("{SHORT}{start}[connect]\nca = \"a\""),
            "go with a url",
        ),
        ("name = ".to_owned(), "line 1"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(says), "no '{says}' in {error}");
        assert!(error.starts_with("some/target.toml"), "{error}");
        assert!(!error.contains('\n') && !error.contains('`'), "{error}");
    }
}
