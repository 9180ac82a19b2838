//! A server and two load machines that have nothing in common but a network: each a network
//! namespace with an address of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::{
    Ended, Running, Served, bench_client, count, directory, machine, row, run, skipped,
};
use crate::shards::ahead;

/// A server's network and those of two load machines; gone when dropped.
struct Networks {
    prefix: String,
}

fn ip(words: &str) -> bool {
    let output = Command::new("ip").args(words.split_whitespace()).output();
    output.is_ok_and(|output| output.status.success())
}

impl Networks {
    /// `None` where nobody may make some.
    fn new() -> Option<Self> {
        let networks = Self {
            prefix: format!("busload-{}", std::process::id()),
        };
        let server = networks.name("server");
        let mut commands = vec![format!("netns add {server}")];
        for (number, load) in ["a", "b"].iter().enumerate() {
            let load = networks.name(load);
            // A range for documentation, which nobody has.
            let (here, there) = (
                format!("198.51.100.{}", number * 4 + 1),
                format!("198.51.100.{}", number * 4 + 2),
            );
            commands.extend([
                format!("netns add {load}"),
                format!("link add to{number} netns {server} type veth peer name line netns {load}"),
                format!("-n {server} address add {here}/30 dev to{number}"),
                format!("-n {load} address add {there}/30 dev line"),
                format!("-n {server} link set to{number} up"),
                format!("-n {load} link set line up"),
            ]);
        }
        commands.iter().all(|words| ip(words)).then_some(networks)
    }

    fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.prefix)
    }

    /// A command in one of them.
    fn inside(&self, of: &str, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name(of)]);
        inside.arg(command.get_program()).args(command.get_args());
        for (name, _) in command.get_envs().filter(|(_, value)| value.is_none()) {
            inside.env_remove(name);
        }
        if let Some(place) = command.get_current_dir() {
            inside.current_dir(place);
        }
        inside
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for of in ["server", "a", "b"] {
            ip(&format!("netns del {}", self.name(of)));
        }
    }
}

/// The two load machines, and where the server is for each.
const MACHINES: [(&str, &str); 2] = [
    ("a", "ws://198.51.100.1:4107"),
    ("b", "ws://198.51.100.5:4107"),
];

/// `bench-client` on a load machine, at the server with its token.
fn client(networks: &Networks, place: &Path, on: usize, words: &[&str]) -> Command {
    let mut command = bench_client(place);
    let (of, url) = MACHINES[on];
    command
        .args(words)
        .args(["--token-file=token", "--url", url]);
    networks.inside(of, &command)
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Of rows alone, merged, merged, alone: both are the same but for noise, and what was in flight is
/// what was asked for.
fn check_closed(rows: &[Value; 4]) {
    let tps = |row: &Value| number(&row["tps"]);
    let latency = |row: &Value| number(&row["latency_ms"]["mean"]);
    for of in [&tps as &dyn Fn(&Value) -> f64, &latency] {
        let [first, second, third, fourth] = rows.each_ref().map(of);
        let ratio = (second + third) / (first + fourth);
        // One process more on the same two cores; a mistake would be a half or a double.
        assert!((0.7..1.4).contains(&ratio), "merged to alone: {ratio}");
    }
    for row in rows {
        let in_flight = number(&row["littles_law"]["in_flight"]);
        assert!((28.0..=32.0).contains(&in_flight), "{in_flight} of 8 × 4");
    }
}

/// The merged record is what one machine's is, but for noise; and one that dies is reported.
#[test]
fn a_server_and_two_load_machines_in_networks_of_their_own() {
    const NAME: &str = "a_server_and_two_load_machines_in_networks_of_their_own";
    let _alone = machine();
    let Some(networks) = Networks::new() else {
        skipped(NAME, "ip netns may not make networks here");
        return;
    };
    // What a closed loop reaches on a machine that others use as well says little in a second.
    let is_long = std::env::var_os("BUSLOAD_LONG").is_some();
    let timing: &[&str] = if is_long {
        &["--seconds=20", "--max-inflight-per-worker=4"]
    } else {
        &["--seconds=1.5", "--rate=400"]
    };
    let place = directory();
    let directory = place.path();
    std::fs::write(
        directory.join("token"),
        "the-token-of-three-networks-and-no-other",
    )
    .expect("a token");
    let mut serve = bench_client(directory);
    serve.args([
        "serve",
        "ws",
        "--listen=0.0.0.0",
        "--port=4107",
        "--token-file=token",
    ]);
    serve.args(["--allow-seed", "--seed-accounts=10", "--database=a.sqlite"]);
    let _served = Served::start(&mut networks.inside("server", &serve));
    let load = [
        "run",
        "--reseed",
        "--accounts=1000",
        "--concurrency=8",
        "--warmup=1",
        "--no-null-server",
    ];
    let load = [&load[..], timing].concat();
    let alone = || {
        let ended = run(client(&networks, directory, 0, &load).arg("--json"));
        row(&ended.expect_code(0).json()).clone()
    };
    let together = |flags: &[&str], meanwhile: &dyn Fn(&[Running; 2])| -> [Ended; 2] {
        let start = ahead(Duration::from_secs(3));
        let shards = [0, 1].map(|number| {
            let mut shard = client(&networks, directory, number, &load);
            shard.args([format!("--shard={number}/2"), format!("--start-at={start}")]);
            Running::start(shard.arg(format!("--output={number}.json")).args(flags))
        });
        meanwhile(&shards);
        shards.map(Running::wait)
    };
    let merge = || {
        let words = ["merge", "0.json", "1.json", "--json"];
        run(&mut client(&networks, directory, 1, &words))
    };
    let pair = || {
        let ended = together(&[], &|_| {});
        for ended in &ended {
            ended.expect_code(0);
        }
        row(&merge().expect_code(0).json()).clone()
    };
    // In turn, since whatever drifts hits both.
    let rows = [alone(), pair(), pair(), alone()];
    for row in &rows {
        assert_eq!(row["verify"]["ledger_ok"], true, "{row:#}");
        assert_eq!(row["verify"]["applied"], row["verify"]["acknowledged"]);
    }
    for row in &rows[1..3] {
        let apart = count(&row["shards"][1]["opened_after_us"]);
        assert!(apart < 15_000, "{row:#}");
    }
    if is_long {
        check_closed(&rows);
    } else {
        // As many as were due on one machine, and all of them answered. What was due just before
        // the end of the window is not sent where the machine paused over it.
        for row in &rows {
            let open_loop = &row["open_loop"];
            assert_eq!(open_loop["offered"], 600, "{row:#}");
            let dropped = number(&open_loop["dropped"]);
            let achieved = number(&open_loop["achieved_tps"]) * 1.5;
            assert!((achieved - (600.0 - dropped)).abs() < 1e-6, "{row:#}");
            assert!(dropped <= 8.0, "one of each worker: {row:#}");
        }
    }

    let ended = together(&["--op-timeout=1s"], &|[_, second]| {
        // After its start, in the warm-up or in the window.
        std::thread::sleep(Duration::from_millis(4_300));
        second.signal(nix::sys::signal::Signal::SIGKILL);
    });
    ended[0].expect_code(0);
    let merged = merge();
    merged
        .expect_code(4)
        .expect_one_line("shard 1 of 2 did not end (1.json was written when");
}
