//! What `docs/scale.md` tells about several load machines is run as it stands there, with smaller
//! numbers, and `ssh` and `scp` that stay on this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Served, bench_client, directory, free_port, run, skipped};

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file)
}

/// The commands of the section about several load machines, block by block.
fn blocks() -> Vec<String> {
    let text = std::fs::read_to_string(docs("scale.md")).expect("it can be read");
    let section = text
        .split("\n## ")
        .find(|it| it.starts_with("Several load machines"));
    let parts = section.expect("the section").split("\n```bash\n").skip(1);
    let mut blocks = Vec::new();
    for part in parts {
        blocks.push(part.split("\n```").next().expect("its end").to_owned());
    }
    blocks
}

#[track_caller]
fn with(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no '{from}' in {text}");
        text.replace(from, to)
    })
}

fn executable(path: &Path, text: &str) {
    std::fs::write(path, text).expect("it can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("it can be made executable");
}

/// A shell in `place`, which finds this `busload` and machines of its own.
fn shell(place: &Path) -> Command {
    let command = bench_client(place);
    let program = PathBuf::from(command.get_program());
    let bin = place.join("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).expect("a folder");
        std::os::unix::fs::symlink(&program, bin.join("busload")).expect("a link");
        // What a remote shell does: a folder of its own, and words that it reads again.
        executable(
            &bin.join("ssh"),
            "#!/bin/sh\nhost=$1; shift\nmkdir -p \"hosts/$host\" && cp token \"hosts/$host\" && \
             cd \"hosts/$host\" && eval \"$*\"\n",
        );
        executable(
            &bin.join("scp"),
            "#!/bin/sh\ncp \"hosts/${1%%:*}/${1#*:}\" \"$2\"\n",
        );
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("bash");
    for (name, value) in command.get_envs() {
        if value.is_none() {
            shell.env_remove(name);
        }
    }
    shell
        .current_dir(place)
        .env("PATH", format!("{}:{path}", bin.display()));
    shell.env("SERVER", "127.0.0.1");
    shell.stdin(std::process::Stdio::null());
    shell
}

#[test]
fn the_commands_over_ssh_make_a_record() {
    let place = directory();
    let blocks = blocks();
    assert_eq!(
        blocks.len(),
        4,
        "each is run, but the one that needs a cluster"
    );
    let port = format!(" {}", free_port());
    let listen = with(
        &blocks[0],
        &[
            ("4107", port.trim()),
            ("busload serve", "exec busload serve"),
        ],
    );
    let _served = Served::start(shell(place.path()).args(["-ec", &listen]));
    let smaller = [
        ("4107", port.trim()),
        ("+20 sec", "+5 sec"),
        (
            "--concurrency 200 --duration 30",
            "--concurrency 8 --duration 1 --accounts 1000 --no-null-server",
        ),
    ];
    let ended = run(shell(place.path()).args(["-ec", &with(&blocks[1], &smaller)]));
    ended.expect_code(0);
    assert!(ended.stdout.contains("VALID"), "{ended:?}");
    assert!(ended.stdout.contains("2 machines"), "{ended:?}");
}

/// The Job of the documentation, as its own command fills it in, by the schema of Kubernetes' API.
#[test]
fn the_kubernetes_job_is_one_by_the_apis_schema() {
    const NAME: &str = "the_kubernetes_job_is_one_by_the_apis_schema";
    let place = directory();
    std::fs::create_dir_all(place.path().join("docs/kubernetes")).expect("a folder");
    let file = "kubernetes/load-job.yaml";
    std::fs::copy(docs(file), place.path().join("docs").join(file)).expect("a copy");
    run(shell(place.path()).args(["-ec", &blocks()[2]])).expect_code(0);
    let text = std::fs::read_to_string(place.path().join("job.yaml")).expect("it was filled in");
    // All that must agree.
    let mut completions = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("completions: "));
    let machines: u32 = completions
        .next()
        .expect("it says how many")
        .parse()
        .expect("a number");
    for part in [
        format!("parallelism: {machines}"),
        format!("--shard index/{machines} "),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    assert!(text.contains("completionMode: Indexed"), "{text}");
    // The command is one that this program knows: it fails for want of a server and no sooner.
    let words = text.split("exec busload ").nth(1).expect("the command");
    let words = words
        .split("2>/dev/termination-log")
        .next()
        .expect("its end");
    let words: Vec<&str> = words.split_whitespace().collect();
    let token = place.path().join("token");
    std::fs::write(&token, "a-token-of-the-test-that-is-long-enough").expect("a token");
    let words = words.into_iter().map(|word| match word {
        "ws://busload-server:4107" => "ws://127.0.0.1:1".to_owned(),
        "/etc/busload/token" => token.display().to_string(),
        "/tmp/shard.json" => "shard.json".to_owned(),
        word => word.to_owned(),
    });
    let mut command = bench_client(place.path());
    let ended = run(command.args(words).env("JOB_COMPLETION_INDEX", "3"));
    ended.expect_code(5);
    let record = std::fs::read_to_string(place.path().join("shard.json")).expect("it began");
    assert!(record.contains(r#""shard":{"index":3,"of":4}"#), "{record}");

    let mut validate = Command::new("kubernetes-validate");
    let validated = validate
        .args(["--strict", "job.yaml"])
        .current_dir(place.path())
        .output();
    let Ok(validated) = validated else {
        skipped(
            NAME,
            "kubernetes-validate is not there: the schema was not asked",
        );
        return;
    };
    let said = String::from_utf8_lossy(&validated.stdout).into_owned()
        + &String::from_utf8_lossy(&validated.stderr);
    assert!(validated.status.success(), "{said}");
    // And it is a judge: a Job that is none is refused.
    std::fs::write(
        place.path().join("wrong.yaml"),
        text.replace("completions: 4", "completions: four"),
    )
    .expect("it can be written");
    let mut validate = Command::new("kubernetes-validate");
    let refused = validate
        .args(["--strict", "wrong.yaml"])
        .current_dir(place.path())
        .output();
    assert!(!refused.expect("it was there").status.success());
}
