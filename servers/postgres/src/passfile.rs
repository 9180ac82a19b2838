//! The password of a database, from where PostgreSQL's own programs have it: the variable
//! `PGPASSWORD`, else the passfile (`PGPASSFILE`, `~/.pgpass`), which nobody else may read.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Whom a password is for.
pub(crate) struct Login<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

/// The password, if there is one.
pub(crate) fn password(login: &Login<'_>) -> Option<String> {
    if let Ok(password) = env::var("PGPASSWORD")
        && !password.is_empty()
    {
        return Some(password);
    }
    let file = env::var_os("PGPASSFILE").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".pgpass"))
    })?;
    if !is_private(&file) {
        return None;
    }
    find(&fs::read_to_string(file).ok()?, login)
}

/// As PostgreSQL's own programs, which ignore a file that others can read, and say so.
#[cfg(unix)]
fn is_private(file: &PathBuf) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = fs::metadata(file) else {
        return false;
    };
    let for_others = metadata.permissions().mode() & 0o077;
    let is_private = for_others == 0;
    if !is_private {
        eprintln!("warning: the passfile is ignored, since others can read it: chmod 600 it");
    }
    is_private
}

#[cfg(not(unix))]
fn is_private(_: &PathBuf) -> bool {
    true
}

/// The first line that fits: `host:port:database:user:password`, where `*` fits everything and a
/// backslash takes the next character as it is.
fn find(text: &str, login: &Login<'_>) -> Option<String> {
    let port = login.port.to_string();
    let wanted = [login.host, &port, login.database, login.user];
    text.lines().find_map(|line| {
        if line.starts_with('#') {
            return None;
        }
        let fields = fields(line);
        let [first @ .., password] = fields.as_slice() else {
            return None;
        };
        let fits = first.len() == wanted.len()
            && first
                .iter()
                .zip(wanted)
                .all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| password.clone())
    })
}

/// Of the last field only the backslashes are special: a password may have colons.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.len();
        match (character, fields.last_mut()) {
            ('\\', Some(field)) => field.extend(characters.next()),
            (':', _) if last < 5 => fields.push(String::new()),
            (other, Some(field)) => field.push(other),
            (_, None) => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let login = Login {
            host: "db.example",
            port: 5432,
            database: "bank",
            user: "me",
        };
        for (text, password) in [
            ("db.example:5432:bank:me:secret", Some("secret")),
            (
                "# db.example:5432:bank:me:no\n*:*:*:me:a:b\\\\c",
                Some("a:b\\c"),
            ),
            (
                "other:5432:bank:me:no\n*:*:bank:*:yes\n*:*:*:*:late",
                Some("yes"),
            ),
            ("db.example:5433:bank:me:no", None),
            ("db.example:5432:bank:me", None),
            ("db\\.example:5432:b\\ank:me:x", Some("x")),
            ("", None),
        ] {
            assert_eq!(find(text, &login).as_deref(), password, "{text:?}");
        }
    }
}
