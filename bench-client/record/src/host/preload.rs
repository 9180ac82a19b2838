//! Libraries that are loaded before the C library and can replace what it does (`LD_PRELOAD`,
//! `/etc/ld.so.preload`): eatmydata makes nothing of every sync.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What the names of libraries begin with that do not touch files: memory allocators.
const HARMLESS: [&str; 4] = ["libjemalloc", "libtcmalloc", "libmimalloc", "libhugetlbfs"];

/// What the name of a library has in it that is there to make syncs cheap, however it came in.
const KNOWN: [&str; 2] = ["eatmydata", "nosync"];

/// Of this process: file names, without their directories.
#[must_use]
pub fn of_this_process() -> Vec<String> {
    let variable = std::env::var_os("LD_PRELOAD");
    gather(variable, Path::new("/proc/self"))
}

/// Of another process, as it was started: file names. `None` where its environment may not be
/// read.
#[must_use]
pub fn of_process(pid: u32) -> Option<Vec<String>> {
    let proc = Path::new("/proc").join(pid.to_string());
    let environment = std::fs::read(proc.join("environ")).ok()?;
    Some(gather(variable(&environment), &proc))
}

/// Those that may have replaced a sync: all but memory allocators.
#[must_use]
pub fn suspects(libraries: &[String]) -> Vec<&str> {
    let harmless = |name: &&str| HARMLESS.iter().any(|known| name.starts_with(known));
    let names = libraries.iter().map(String::as_str);
    names.filter(|name| !harmless(name)).collect()
}

fn variable(environment: &[u8]) -> Option<OsString> {
    let mut entries = environment.split(|byte| *byte == 0);
    let value = entries.find_map(|entry| entry.strip_prefix(b"LD_PRELOAD="))?;
    Some(OsStr::from_bytes(value).to_owned())
}

fn gather(variable: Option<OsString>, proc: &Path) -> Vec<String> {
    let mut libraries = names(&variable.unwrap_or_default().to_string_lossy());
    let for_all = std::fs::read_to_string(proc.join("root/etc/ld.so.preload")).unwrap_or_default();
    libraries.extend(names(&for_all));
    // A program can take the variable out of its environment, and what is loaded stays.
    let mapped = std::fs::read_to_string(proc.join("maps")).unwrap_or_default();
    libraries.extend(known_of(&mapped));
    libraries.sort();
    libraries.dedup();
    libraries
}

/// File names of a list that colons and white space divide, as ld.so(8) reads it.
fn names(list: &str) -> Vec<String> {
    let entries = list.split(|letter: char| letter == ':' || letter.is_whitespace());
    entries.filter_map(file_name).collect()
}

fn known_of(maps: &str) -> Vec<String> {
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    let names = paths.filter_map(file_name);
    let known = names.filter(|name| KNOWN.iter().any(|known| name.contains(known)));
    // The same library as in the variable, which names it without its version.
    known
        .map(|name| {
            name.split_inclusive(".so")
                .next()
                .unwrap_or(&name)
                .to_owned()
        })
        .collect()
}

fn file_name(path: &str) -> Option<String> {
    let name = Path::new(path).file_name()?;
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_a_list_of_paths_of_which_the_names_are_kept() {
        let environment =
            b"HOME=/home/u\0LD_PRELOAD=libeatmydata.so:/home/user/x/fake.so other.so\0A=b";
        let variable = variable(environment).unwrap();
        assert_eq!(
            names(&variable.to_string_lossy()),
            ["libeatmydata.so", "fake.so", "other.so"]
        );
        assert_eq!(super::variable(b"LD_PRELOADED=x\0"), None);
        assert_eq!(names(""), Vec::<String>::new());
    }

    #[test]
    fn a_known_library_is_found_among_what_is_mapped() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f02-7f03 r-xp 00000000 fe:00 2 /usr/lib/libeatmydata.so.1.3.0\n\
                    7f04-7f05 rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(known_of(maps), ["libeatmydata.so"]);
    }

    #[test]
    fn an_allocator_is_no_suspect() {
        let libraries = ["libjemalloc.so.2", "fake.so"].map(str::to_owned);
        assert_eq!(suspects(&libraries), ["fake.so"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_process_tells_what_was_preloaded_into_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            // One that is not there: the loader says so and goes on.
            .env("LD_PRELOAD", "/no/such/directory/libnothing.so")
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut found = of_process(child.id());
        // Between fork and exec the environment is this program's.
        while !found
            .as_ref()
            .is_some_and(|found| found.contains(&"libnothing.so".to_owned()))
            && child.try_wait().unwrap().is_none()
        {
            std::thread::yield_now();
            found = of_process(child.id());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.unwrap().contains(&"libnothing.so".to_owned()));
    }
}
