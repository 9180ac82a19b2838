//! What the programs say of themselves.

use std::process::Command;

#[test]
fn a_version_has_the_revision_and_sqlite() {
    for (program, name) in [
        (env!("CARGO_BIN_EXE_sqlite-rpc-server"), "sqlite-rpc-server"),
        (
            env!("CARGO_BIN_EXE_sqlite-ws-rpc-server"),
            "sqlite-ws-rpc-server",
        ),
    ] {
        let said = Command::new(program).arg("--version").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let expected = format!("{name} {} (revision ", env!("CARGO_PKG_VERSION"));
        assert!(
            said.starts_with(&expected) && said.contains("SQLite 3."),
            "{said}"
        );
        let help = Command::new(program).arg("-h").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(&format!("Usage: {name} ")), "{help}");
        assert!(help.lines().count() <= 50, "{help}");
    }
}
