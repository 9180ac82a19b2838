//! The flags as a whole: what their help says of bounds is what is enforced.

use clap::{CommandFactory, Parser};

use super::*;

#[derive(Parser)]
struct Server {
    #[command(flatten)]
    http: HttpArgs,
}

#[derive(Parser)]
struct WsServer {
    #[command(flatten)]
    _ws: WsArgs,
}

/// Of the flags whose value is a number or a time, those that take any.
const WITHOUT_BOUNDS: [&str; 4] = ["port", "initial-balance", "shutdown-timeout", "busy-wait"];

/// The lowest and the highest value that the help names.
fn bounds_in(help: &str) -> Option<(&str, &str)> {
    let (before, after) = help.split_once(" … ")?;
    let lowest = before.rsplit(['[', ' ']).next()?;
    Some((lowest, after.split([']', ',']).next()?))
}

/// The values just outside: one less and one more of what the bound counts in.
fn beyond(lowest: &str, highest: &str) -> [String; 2] {
    let split = |text: &str| {
        let unit = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(unit.unwrap_or(text.len()));
        (number.parse::<i64>().unwrap(), unit.to_owned())
    };
    let ((low, low_unit), (high, high_unit)) = (split(lowest), split(highest));
    [
        format!("{}{low_unit}", low - 1),
        format!("{}{high_unit}", high + 1),
    ]
}

fn check_bounds<P: CommandFactory>() {
    let mut checked = 0;
    for argument in P::command().get_arguments() {
        let name = argument.get_long().unwrap();
        let help = argument.get_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let tried = |value: &str| {
            // Without the flags that go with others, and whatever the environment says.
            let mut command = P::command();
            for other in ["token_file", "null_server", "tls_cert", "tls_key"] {
                command = command.mut_arg(other, |one| one.required(false));
            }
            let mut words = vec!["server".to_owned(), format!("--{name}={value}")];
            if name.starts_with("null-") {
                words.push("--null-server".to_owned());
            }
            if name.starts_with("tls-") {
                words.extend(["--tls-cert=c", "--tls-key=k"].map(str::to_owned));
            }
            command.try_get_matches_from(words).map(|_| ())
        };
        let is_measure =
            ["1", "1s"].iter().any(|value| tried(value).is_ok()) && tried("no measure").is_err();
        if let Some((lowest, highest)) = bounds_in(&help) {
            for inside in [lowest, highest] {
                assert!(tried(inside).is_ok(), "--{name}={inside}");
            }
            for outside in beyond(lowest, highest) {
                assert!(tried(&outside).is_err(), "--{name}={outside}");
            }
            checked += 1;
        } else if is_measure && !argument.is_hide_set() {
            let said = WITHOUT_BOUNDS.contains(&name);
            assert!(said, "--{name} has no bounds in its help: {help}");
        }
    }
    assert!(checked >= 18, "{checked}");
}

#[test]
fn the_help_names_the_bounds_that_are_enforced() {
    check_bounds::<Server>();
    check_bounds::<WsServer>();
    let help = WsServer::command().render_long_help().to_string();
    for variable in ["BATCH_SIZE", "BATCH_MS", "BATCHING", "GROUP_COMMIT"] {
        assert!(
            help.contains(&format!("SQLITE_WS_RPC_{variable}")),
            "{variable}"
        );
    }
}
