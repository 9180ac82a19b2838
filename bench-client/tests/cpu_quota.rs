//! A CPU quota (a container's, a Kubernetes limit) is seen: in the row, in the environment, in the
//! fingerprint. In a real control group, which root may make.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{bench_client, directory, row, run, skipped, verdicts};
use serde_json::Value;

/// A group of the CPU controller of its own, removed when dropped.
struct Group(PathBuf);

impl Group {
    /// Of version 1 or 2, wherever the CPU controller is; else the test says that it was passed
    /// over.
    fn with_quota(name: &str, quota_us: u32) -> Option<Self> {
        let group = format!("busload-test-{}-{quota_us}", std::process::id());
        let one = Path::new("/sys/fs/cgroup/cpu").join(&group);
        let two = Path::new("/sys/fs/cgroup").join(&group);
        let set = |directory: &Path, file: &str, text: String| {
            fs::create_dir(directory).ok()?;
            let made = Self(directory.to_owned());
            fs::write(directory.join(file), text).ok()?;
            Some(made)
        };
        let made = set(&one, "cpu.cfs_quota_us", quota_us.to_string())
            .or_else(|| set(&two, "cpu.max", format!("{quota_us} 100000")));
        if made.is_none() {
            skipped(name, "no control group with a CPU quota can be made");
        }
        made
    }

    /// `bench-client run` inside of it.
    fn run(&self, directory: &Path, flags: &[&str]) -> Value {
        let client = bench_client(directory);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.0)
            .arg(client.get_program())
            .args(["run", "--accounts=1000", "--warmup=0.1", "--json"])
            .args(["--connector=sqlite_ws_rpc", "--no-null-server"])
            .args(flags)
            .current_dir(directory);
        for (variable, value) in client.get_envs() {
            match value {
                Some(value) => shell.env(variable, value),
                None => shell.env_remove(variable),
            };
        }
        let ended = run(&mut shell);
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        ended.json()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever was in it has ended.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn time_taken_by_a_quota_is_told_beside_steal() {
    let name = "time_taken_by_a_quota_is_told_beside_steal";
    let Some(group) = Group::with_quota(name, 20_000) else {
        return;
    };
    let directory = directory();
    let record = group.run(directory.path(), &["--duration=1", "--concurrency=8"]);
    assert_eq!(record["environment"]["machine"]["cpu_quota_cores"], 0.2);
    let row = row(&record);
    for side in ["client_throttled", "server_throttled"] {
        let throttled = &row["cpu"][side];
        assert!(throttled["throttled_periods"].as_u64() > Some(0), "{row}");
        assert!(throttled["periods"].as_u64() >= throttled["throttled_periods"].as_u64());
        assert!(throttled["seconds"].as_f64() > Some(0.0), "{throttled}");
    }
    assert_eq!(row["valid"], true);
    assert!(verdicts(row, false).contains(&"throttled".to_owned()));
}

/// Both are "1 usable core".
#[test]
fn one_core_and_nearly_two_have_different_fingerprints() {
    let name = "one_core_and_nearly_two_have_different_fingerprints";
    let mut seen = Vec::new();
    for quota in [100_000, 190_000] {
        let Some(group) = Group::with_quota(name, quota) else {
            return;
        };
        let directory = directory();
        let flags = ["--transfers=200", "--concurrency=2"];
        let record = group.run(directory.path(), &flags);
        let machine = &record["environment"]["machine"];
        let quota = machine["cpu_quota_cores"].as_f64().expect("a quota");
        let fingerprint = row(&record)["fingerprint"].clone();
        seen.push((quota, machine["usable_cores"].clone(), fingerprint));
    }
    let [(one, cores, first), (nearly_two, _, second)] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!((*one, *nearly_two), (1.0, 1.9));
    assert_ne!(first, second, "{cores} usable cores");
}
