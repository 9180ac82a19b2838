//! Where PostgreSQL's programs are.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

/// Another folder of `initdb` and `postgres` than that of Debian's newest version.
const FOLDER: &str = "BUSLOAD_POSTGRES_BIN";

/// PostgreSQL's programs. Some packages bring the server's alone: then the clients are Debian's.
#[derive(Clone)]
pub(crate) struct Programs {
    server: PathBuf,
    clients: PathBuf,
}

impl Programs {
    /// Starts one of them as the user that PostgreSQL runs as.
    pub(super) fn start(&self, program: &str) -> Command {
        let own = self.server.join(program);
        as_user(&if own.is_file() {
            own
        } else {
            self.clients.join(program)
        })
    }

    /// Those of the server in another folder; `None` if the user may not start them.
    pub(crate) fn with_server(&self, folder: &Path) -> Option<Self> {
        let version = as_user(&folder.join("postgres")).arg("--version").output();
        let starts = version.is_ok_and(|output| output.status.success());
        starts.then(|| Self {
            server: folder.to_owned(),
            clients: self.clients.clone(),
        })
    }
}

/// The programs of PostgreSQL; `None` says by name that the test is passed over.
pub(crate) fn programs(name: &str) -> Option<Programs> {
    let found = find();
    assert!(
        found.is_some() || !is_required(),
        "there is no PostgreSQL: apt-get install postgresql"
    );
    let Some(clients) = found else {
        skipped(name, "no PostgreSQL");
        return None;
    };
    let all = Programs {
        server: clients.clone(),
        clients,
    };
    let Some(folder) = std::env::var_os(FOLDER) else {
        return Some(all);
    };
    let other = all.with_server(Path::new(&folder));
    assert!(other.is_some(), "{FOLDER} has no postgres that starts");
    other
}

/// The same with `pg_basebackup`, which copies no database that is newer than itself.
pub(crate) fn programs_for_standbys(name: &str) -> Option<Programs> {
    let programs = programs(name)?;
    let has_it = programs.server.join("pg_basebackup").is_file();
    if !has_it {
        skipped(name, "no pg_basebackup beside this postgres");
    }
    has_it.then_some(programs)
}

/// Whether a test that lacks something fails.
pub(crate) fn is_required() -> bool {
    std::env::var_os("BUSLOAD_REQUIRE_INTEROP").is_some_and(|value| value == "1")
}

/// Not by `eprintln`, which the test harness keeps to itself when a test passes.
pub(crate) fn skipped(name: &str, why: &str) {
    let line = format!("skipped {}::{name}: {why}\n", env!("CARGO_CRATE_NAME"));
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr takes a line");
}

/// Debian keeps them out of the path, one directory for each version. Some packages bring a part
/// of them only.
fn find() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut places: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    places.sort();
    places.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path));
    let all = ["initdb", "postgres", "psql", "pg_isready", "pg_basebackup"];
    places
        .into_iter()
        .find(|place| all.iter().all(|program| place.join(program).is_file()))
}

/// PostgreSQL does not run as root: then it runs as the user that its package makes, or as nobody.
fn as_user(program: &Path) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    if let Some(user) = other_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    // Whatever else is set belongs to the person who runs the tests.
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null());
    command
}

pub(super) fn other_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
}
