//! Which fields of a result are not as the protocol has them: whoever writes a server wants to know
//! all of them at once.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::Segment;

use crate::connector::beginning;

/// Most fields that are named.
const FIELDS_MAX: usize = 32;
/// What is shown of a field that is wrong.
const FOUND_CHARS_MAX: usize = 40;

/// A field that is not as it must be.
struct Wrong {
    path: Vec<String>,
    /// `None` when it is missing.
    found: Option<String>,
    must_be: &'static str,
}

/// What is wrong with a result that cannot be read as an `A`, field by field, with what each must
/// be and whether it may be left out; `None` when it is no JSON, or no single field is to blame.
pub(super) fn wrong<A: DeserializeOwned>(result: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(result).ok()?;
    let mut all: Vec<Wrong> = Vec::new();
    while let Some(problem) = first_problem::<A>(&value).filter(|_| all.len() < FIELDS_MAX) {
        let (wrong, right) = understand::<A>(&mut value, problem)?;
        // So that the next one shows.
        *at(&mut value, &wrong.path)? = right;
        all.push(wrong);
    }
    let said = all.iter().map(|wrong| {
        let Wrong {
            path,
            found,
            must_be,
        } = wrong;
        let name = match path.join(".") {
            name if name.is_empty() => "it".to_owned(),
            name => name,
        };
        match found {
            None => format!("{name} is missing ({must_be})"),
            Some(found) if may_be_left_out::<A>(&value, path) => {
                format!("{name} is {found} (must be {must_be}, or be left out)")
            }
            Some(found) => format!("{name} is {found} (must be {must_be})"),
        }
    });
    (!all.is_empty()).then(|| said.collect::<Vec<_>>().join(", "))
}

/// Which field a problem is about, and a value that it may have. One that is missing is there
/// afterwards: what it must be is known only of one that is.
fn understand<A: DeserializeOwned>(
    value: &mut Value,
    (mut path, mut problem): (Vec<String>, String),
) -> Option<(Wrong, Value)> {
    let missing = problem.strip_prefix("missing field `");
    let found = if let Some(name) = missing.and_then(|rest| rest.strip_suffix('`')) {
        let name = name.to_owned();
        let parent = at(value, &path)?.as_object_mut()?;
        parent.insert(name.clone(), Value::Null);
        path.push(name);
        (_, problem) = first_problem::<A>(value)?;
        None
    } else {
        Some(beginning(&at(value, &path)?.to_string(), FOUND_CHARS_MAX))
    };
    let (_, expected) = problem.rsplit_once("expected ")?;
    let (must_be, right) = kind(expected)?;
    let wrong = Wrong {
        path,
        found,
        must_be,
    };
    Some((wrong, right))
}

/// Where a value is not what an `A` has there, and how.
fn first_problem<A: DeserializeOwned>(value: &Value) -> Option<(Vec<String>, String)> {
    let error = serde_path_to_error::deserialize::<_, A>(value).err()?;
    let path = error.path().iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    Some((path.collect(), error.inner().to_string()))
}

fn at<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        other => other.get_mut(key),
    })
}

/// Whether a value that is right is right without this field, too.
fn may_be_left_out<A: DeserializeOwned>(value: &Value, path: &[String]) -> bool {
    let mut without = value.clone();
    let removed = path.split_last().and_then(|(name, parent)| {
        let object = at(&mut without, parent)?.as_object_mut()?;
        object.remove(name)
    });
    removed.is_some() && first_problem::<A>(&without).is_none()
}

/// A type in words, by serde's name of it, and a value of it.
fn kind(expected: &str) -> Option<(&'static str, Value)> {
    Some(match expected {
        "u64" | "u32" | "i64" => ("a whole number", json!(0)),
        "f64" => ("a number", json!(0)),
        "a string" => ("text", json!("")),
        "a boolean" => ("true or false", json!(false)),
        "a sequence" => ("a list", json!([])),
        "a map" => ("an object", json!({})),
        expected if expected.starts_with("struct ") => ("an object", json!({})),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use busload_wire::control::{Account, Info, Stats};

    use super::*;

    fn info() -> Value {
        json!({
            "server": "mine", "version": "1", "transport": "http", "encodings": ["json"],
            "durability": "wal-full", "pragmas": {}, "sqlite_version": "3", "database": "x",
            "batch_size": 1, "batch_timeout_us": 0, "queue_transfers": 1,
            "max_inflight_per_connection": 1, "pid": 1,
        })
    }

    #[test]
    fn every_wrong_field_is_named_with_what_it_must_be() {
        let mut partial = info();
        let fields = partial.as_object_mut().unwrap();
        fields.remove("version");
        fields.remove("pid");
        fields.insert("encodings".to_owned(), json!(["json", 2]));
        fields.insert("batch_size".to_owned(), json!("many"));
        fields.insert("ordered".to_owned(), json!("yes"));
        fields.insert(
            "engine".to_owned(),
            json!({"name": "x", "version": 3, "settings": {}}),
        );
        let said = wrong::<Info>(&partial.to_string()).unwrap();
        for one in [
            "version is missing (text)",
            "pid is missing (a whole number)",
            "encodings.1 is 2 (must be text)",
            "batch_size is \"many\" (must be a whole number)",
            "ordered is \"yes\" (must be true or false, or be left out)",
            "engine.version is 3 (must be text)",
        ] {
            assert!(said.contains(one), "no {one} in {said}");
        }
        assert_eq!(said.split("), ").count(), 6, "{said}");
        assert_eq!(wrong::<Info>(&info().to_string()), None);
    }

    #[test]
    fn what_is_no_object_is_said_as_a_whole() {
        let it = wrong::<Info>("7").unwrap();
        assert!(
            it.starts_with("it is 7 (must be an object), server is missing"),
            "{it}"
        );
        assert_eq!(wrong::<Account>("no"), None);
        let balance = wrong::<Option<Account>>("{\"id\": 1, \"balance\": 5}");
        assert_eq!(balance.as_deref(), Some("balance is 5 (must be text)"));
        let queue = wrong::<Stats>("{\"queue\": 3}").unwrap();
        assert!(
            queue.contains("committed is missing (a whole number)"),
            "{queue}"
        );
    }
}
