//! Which ledger a server has, as it is written on the command line.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What stores the transfers. Two are equal if they are of a kind: where somebody's database is
/// makes no other server.
#[derive(Clone, Default)]
pub enum Engine {
    /// A file.
    #[default]
    Sqlite,
    /// A database that speaks PostgreSQL's protocol, and where it is; a record does not say that.
    Postgres(Option<String>),
    /// A text that names none of them.
    Unknown,
}

impl Engine {
    /// The kind.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Unknown => "unknown",
        }
    }

    /// Those of a list. Only a comma before another one parts them: a URL of several hosts has
    /// commas of its own.
    #[must_use]
    pub fn list(text: &str) -> Vec<&str> {
        let begins = |rest: &str| {
            ["sqlite", "postgres"]
                .iter()
                .any(|name| rest.starts_with(name))
        };
        let commas = text.match_indices(',').map(|(at, _)| at);
        let cuts: Vec<usize> = commas.filter(|at| begins(&text[at + 1..])).collect();
        let starts = std::iter::once(0).chain(cuts.iter().map(|at| at + 1));
        let ends = cuts.iter().copied().chain([text.len()]);
        starts.zip(ends).map(|(from, to)| &text[from..to]).collect()
    }

    /// As it is written on a command line, whole.
    pub(crate) fn argument(&self) -> &str {
        match self {
            Self::Postgres(Some(url)) => url,
            other => other.as_str(),
        }
    }

    /// Whether the ledger is a file of this machine.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self, Self::Sqlite | Self::Unknown)
    }

    /// A text in which a person may have written the URL, without it.
    #[must_use]
    pub fn hide_in(&self, text: &str) -> String {
        match self {
            Self::Postgres(Some(url)) => text.replace(url, self.as_str()),
            _ => text.to_owned(),
        }
    }

    /// Whether it can be used. Not said while it is parsed: what clap refuses it repeats, and
    /// there may be a password in it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite => Ok(()),
            Self::Postgres(Some(url)) => Ok(busload_postgres::check_url(url)?),
            Self::Postgres(None) | Self::Unknown => Err(anyhow::anyhow!(
                "--engine is sqlite or the URL of a database, \
                 postgres://USER@HOST:PORT/DATABASE"
            )),
        }
    }
}

impl PartialEq for Engine {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Engine {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "sqlite" => Self::Sqlite,
            "postgres" => Self::Postgres(None),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Self::Postgres(Some(url.to_owned()))
            }
            _ => Self::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_not_repeated() {
        for text in [
            "mysql://me:hunter2@db",
            "hunter2",
            "postgres://me:hunter2@db/x",
            "postgres",
        ] {
            let Ok(engine) = text.parse::<Engine>();
            let error = engine.check().unwrap_err();
            let shown = format!("{error:#} {error:?} {engine} {engine:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn the_hosts_of_a_url_are_no_list() {
        let (two, one) = ("postgres://me@one,two:5433/a", "postgresql://me@h/b");
        assert_eq!(Engine::list(two), [two]);
        let list = format!("sqlite,{two},{one},sqlite");
        assert_eq!(Engine::list(&list), ["sqlite", two, one, "sqlite"]);
        assert_eq!(Engine::list(""), [""]);
    }

    #[test]
    fn two_databases_are_one_kind() {
        let Ok(one) = "postgres://me@localhost/a".parse::<Engine>();
        let Ok(other) = "postgresql://me@localhost/b".parse::<Engine>();
        assert!(one == other && one != Engine::Sqlite);
        assert!(one.check().is_ok() && Engine::Sqlite.check().is_ok());
        assert_eq!(one.argument(), "postgres://me@localhost/a");
        let side = "sqlite_rpc,engine=postgres://me@localhost/a";
        assert_eq!(one.hide_in(side), "sqlite_rpc,engine=postgres");
    }
}
