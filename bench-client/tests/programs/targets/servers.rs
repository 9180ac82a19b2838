//! Targets of the tests: the Python example of `docs/own-server`, with the habits that a test
//! gives it.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Pid;

use crate::common::{Directory, bench_client, directory, is_alive, run, skipped, until};

/// Where a server leaves the numbers of its processes.
const PIDS: &str = "pids";

/// A folder for targets, in which `bench-client` runs.
pub(crate) struct Folder(Directory);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(directory())
    }

    /// `None`, said by name, where there is no Python.
    pub(crate) fn with_python(test: &str) -> Option<Self> {
        let has = Command::new("python3")
            .args(["-c", "import sqlite3"])
            .output();
        if has.is_ok_and(|output| output.status.success()) {
            Some(Self::new())
        } else {
            skipped(test, "there is no python3 with sqlite3");
            None
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a target file into a folder of its name.
    pub(crate) fn write(&self, name: &str, rest: &str) {
        let folder = self.path().join(name);
        std::fs::create_dir_all(&folder).expect("it can be made");
        let text = format!(
            "name = \"{name}\"\nsummary = \"a server of the tests\"\nconnector = \"sqlite_rpc\"\n\
             durability = \"durable\"\nlabels = {{ runtime = \"python\" }}\n{rest}"
        );
        std::fs::write(folder.join("target.toml"), text).expect("written");
    }

    /// A target that is the Python example, started by a shell that does `before` first; `keys`
    /// are more of `[start]`.
    pub(crate) fn write_python(&self, name: &str, before: &str, keys: &str) {
        let server = example("python").join("server.py");
        let pids = self.path().join(PIDS);
        let script = format!(
            "echo $$ >> {pids}; {before}; exec python3 {server} \"$@\"",
            pids = pids.display(),
            server = server.display()
        );
        let script = toml_text(&script);
        self.write(
            name,
            &format!(
                "[version]\ncommand = [\"python3\", \"--version\"]\n[start]\n\
                 command = [\"sh\", \"-c\", {script}, \"sh\", \"{{port}}\", \"{{database}}\"]\n\
                 {keys}"
            ),
        );
    }

    /// A target that is the Python example with `to` in place of `from`.
    pub(crate) fn write_changed_python(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(example("python").join("server.py")).expect("text");
        assert!(text.contains(from), "no {from} in {text}");
        self.write(
            name,
            "[start]\ncommand = [\"python3\", \"server.py\", \"{port}\", \"{database}\"]\n",
        );
        let changed = self.path().join(name).join("server.py");
        std::fs::write(changed, text.replace(from, to)).expect("written");
    }

    /// `bench-client` in this folder.
    pub(crate) fn bench_client(&self, words: &[&str]) -> Command {
        let mut command = bench_client(self.path());
        command.env("BUSLOAD_TARGETS_DIR", self.path()).args(words);
        command
    }

    /// A short run of a target.
    pub(crate) fn run(&self, words: &[&str]) -> crate::common::Ended {
        let short = [
            "run",
            "--duration=0.5",
            "--warmup=0.1",
            "--accounts=1000",
            "--concurrency=8",
            "--no-null-server",
        ];
        run(&mut self.bench_client(&[&short[..], words].concat()))
    }

    /// The processes of all servers, and whatever else they have noted.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        let text = std::fs::read_to_string(self.path().join(PIDS)).unwrap_or_default();
        let pids = text.split_whitespace().filter_map(|word| word.parse().ok());
        pids.map(Pid::from_raw).collect()
    }

    /// Fails unless servers were started and nothing of them is left: no process in any of their
    /// groups.
    #[track_caller]
    pub(crate) fn expect_nothing_left(&self) {
        let pids = self.pids();
        assert!(!pids.is_empty(), "nothing was started");
        for pid in pids {
            assert!(!is_alive(pid), "{pid} is still there");
            let group = nix::sys::signal::killpg(pid, None);
            assert_eq!(group, Err(nix::errno::Errno::ESRCH), "group {pid}");
        }
    }

    /// Waits until so many processes are noted.
    #[track_caller]
    pub(crate) fn until_started(&self, count: usize) {
        until("servers are started", || {
            (self.pids().len() >= count).then_some(())
        });
    }

    /// What is left in the folder for data.
    pub(crate) fn data(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join(".data"));
        let entries = entries.into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }
}

/// A text as TOML has it.
fn toml_text(text: &str) -> String {
    serde_json::to_string(text).expect("text is text")
}

/// The folder of an example.
pub(crate) fn example(name: &str) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/own-server");
    docs.canonicalize().expect("it is there").join(name)
}
