//! The command line as a whole, with the flags that `-h` shows of each verb.

use bench_client::{called, program};
use busload_frontend::cli::Page;
use clap::{Command, CommandFactory};

use super::Cli;

/// Which flags `-h` shows of each verb. Those that take none of them are short enough.
const PAGES: [(&str, Page); 8] = [
    (
        "run",
        Page(&[
            "target",
            "server-command",
            "url",
            "connector",
            "alpha",
            "accounts",
            "concurrency",
            "inflight",
            "rate",
            "duration",
            "transfers",
            "warmup",
            "runs",
            "durability",
            "batch-size",
            "batch-timeout",
            "data-dir",
            "no-verify",
            "verbose",
            "quiet",
            "output",
            "json",
            "tui",
            "fail-if",
            "strict",
            "allow",
        ]),
    ),
    (
        "ceiling",
        Page(&[
            "connector",
            "encoding",
            "concurrency",
            "inflight",
            "rate",
            "duration",
            "transfers",
            "warmup",
            "runs",
            "batch-size",
            "batch-timeout",
            "verbose",
            "quiet",
            "output",
            "json",
        ]),
    ),
    (
        "sweep",
        Page(&[
            "over",
            "find-knee",
            "from",
            "to",
            "p99-limit",
            "target",
            "connector",
            "alpha",
            "concurrency",
            "inflight",
            "rate",
            "duration",
            "warmup",
            "runs",
            "durability",
            "batch-size",
            "batch-timeout",
            "data-dir",
            "verbose",
            "quiet",
            "output",
            "json",
            "strict",
            "allow",
        ]),
    ),
    (
        "compare",
        Page(&[
            "baseline",
            "records",
            "rounds",
            "until-precision",
            "time-limit",
            "calibrate",
            "alpha",
            "concurrency",
            "inflight",
            "rate",
            "duration",
            "warmup",
            "durability",
            "batch-size",
            "batch-timeout",
            "data-dir",
            "verbose",
            "quiet",
            "output",
            "json",
            "fail-if",
            "strict",
            "allow",
        ]),
    ),
    (
        "predict",
        Page(&[
            "from",
            "sync-latency",
            "cpu-per-transfer",
            "shared-thread",
            "cores",
            "connector",
            "concurrency",
            "inflight",
            "rate",
            "durability",
            "batch-size",
            "batch-timeout",
            "data-dir",
            "json",
        ]),
    ),
    (
        "torture",
        Page(&[
            "faults",
            "kills",
            "cycle-time",
            "seed",
            "target",
            "server-command",
            "url",
            "connector",
            "concurrency",
            "inflight",
            "exactly-once",
            "timeout",
            "durability",
            "batch-size",
            "batch-timeout",
            "data-dir",
            "keep",
            "verbose",
            "quiet",
            "output",
            "json",
        ]),
    ),
    (
        "audit",
        Page(&[
            "server-command",
            "url",
            "transfers",
            "durability",
            "batch-size",
            "batch-timeout",
            "data-dir",
            "keep",
            "verbose",
            "quiet",
            "output",
            "json",
        ]),
    ),
    (
        "report",
        Page(&["format", "output", "verbose", "quiet", "width"]),
    ),
];

/// At the end of both pages of verbs whose flags may be lists.
const LISTS: [&str; 2] = [
    "A list, such as -c 1,8,40, measures a row for each value. All flags: --help",
    "A list, such as --concurrency 1,8,40, measures a row for each value, and several lists a row for \
     each combination. Times are in seconds, unless they have a unit: 10, 500ms, 2m. Counts and rates \
     may be written as 5k or 1M.",
];

/// The command line, under the name by which the program was started.
pub(crate) fn command() -> Command {
    let program = program("");
    let command = <Cli as CommandFactory>::command()
        .name(called())
        .version(busload_frontend::version(&program.git_revision))
        .mut_subcommand("compare", |compare| {
            compare.after_long_help(super::compare::AFTER)
        })
        .mut_subcommand("serve", |serve| {
            serve
                .mut_subcommand("http", |http| Page::SERVER.of(http))
                .mut_subcommand("ws", |ws| Page::SERVER.of(ws))
        });
    let command = ["run", "ceiling"].iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| {
            let [short, long] = LISTS;
            verb.after_help(short).after_long_help(long)
        })
    });
    let command = PAGES.iter().fold(command, |command, (verb, page)| {
        command.mut_subcommand(verb, |verb| page.of(verb))
    });
    command.max_term_width(busload_frontend::cli::WIDTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that a short page may have: a screen.
    const LINES_MAX: usize = 50;
    const COLUMNS: usize = 80;
    /// Columns of a text: a line of a long page, where it is indented.
    const TEXT_MAX: usize = busload_frontend::cli::WIDTH_MAX - 10;

    /// Every verb, with the words that lead to it.
    fn verbs(command: &Command, path: &str) -> Vec<(String, Command)> {
        let own = (path.to_owned(), command.clone());
        let below = command.get_subcommands().flat_map(|verb| {
            let path = format!("{path} {}", verb.get_name());
            verbs(verb, path.trim_start())
        });
        std::iter::once(own).chain(below).collect()
    }

    #[test]
    fn every_short_page_fits_a_screen() {
        for (path, verb) in verbs(&command(), "") {
            let page = verb.term_width(COLUMNS).render_help().to_string();
            let lines = page.lines().count();
            assert!(lines <= LINES_MAX, "{path}: {lines} lines\n{page}");
            let widest = page.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(COLUMNS), "{path}: {widest:?}\n{page}");
            assert!(!page.contains("[env:"), "{path}\n{page}");
        }
    }

    #[test]
    fn every_flag_of_a_verb_has_a_subject_and_one_line() {
        const WITHOUT_SUBJECTS: [&str; 9] = [
            "report",
            "targets",
            "targets list",
            "targets show",
            "targets install",
            "targets init",
            "targets check",
            "completions",
            "man",
        ];
        for (path, verb) in verbs(&command(), "") {
            for arg in verb.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let name = arg.get_id();
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() && !help.contains('\n'), "{path} {name}");
                assert!(help.chars().count() <= TEXT_MAX, "{path} {name}: {help}");
                assert!(!help.ends_with('.'), "{path} {name}: {help}");
                let has_subject = arg.is_positional()
                    || arg.get_help_heading().is_some()
                    || WITHOUT_SUBJECTS.contains(&path.as_str());
                assert!(has_subject, "{path} --{name} stands under no heading");
            }
        }
    }

    #[test]
    fn earlier_names_are_taken_and_not_shown() {
        for (words, earlier) in [
            ("torture --workers=3", "--workers"),
            ("torture --transport=http", "--transport"),
            ("torture --seconds-per-cycle=0.5", "--seconds-per-cycle"),
            ("torture --answer-timeout=3s", "--answer-timeout"),
            ("fsync --dir=.", "--dir"),
            ("predict --connectors=sqlite_rpc", "--connectors"),
            (
                "predict --max-inflight-per-worker=3",
                "--max-inflight-per-worker",
            ),
            ("reproduce --seconds=3", "--seconds"),
            ("serve ws --seed-accounts=100", "--seed-accounts"),
            ("serve http --fresh", "--fresh"),
            ("run --seconds=3 --op-timeout=3s --keep-db", "--keep-db"),
        ] {
            let words = ["busload"].into_iter().chain(words.split(' '));
            let parsed = command().try_get_matches_from(words.clone());
            assert!(parsed.is_ok(), "{parsed:?}");
            let earlier = earlier.strip_prefix("--");
            for (path, verb) in verbs(&command(), "") {
                for arg in verb.get_arguments() {
                    let shown = arg.get_visible_aliases().unwrap_or_default();
                    // The folder of targets is another thing.
                    let is_other = path.starts_with("targets") && earlier == Some("dir");
                    let is_shown =
                        arg.get_long() == earlier || shown.iter().any(|it| Some(*it) == earlier);
                    assert!(!is_shown || is_other, "--{earlier:?} in {path}");
                }
            }
        }
    }

    #[test]
    fn the_same_thing_has_the_same_name_and_letter_everywhere() {
        for (name, letter) in [
            ("concurrency", 'c'),
            ("duration", 'd'),
            ("transfers", 'n'),
            ("rate", 'r'),
            ("output", 'o'),
            ("verbose", 'v'),
            ("quiet", 'q'),
        ] {
            let mut found = 0;
            for (path, verb) in verbs(&command(), "") {
                for arg in verb.get_arguments() {
                    if arg.get_long() == Some(name) {
                        assert_eq!(arg.get_short(), Some(letter), "{path} --{name}");
                        found += 1;
                    }
                }
            }
            assert!(found > 1, "--{name}");
        }
    }
}
