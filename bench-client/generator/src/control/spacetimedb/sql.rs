//! What SpacetimeDB's HTTP answers hold, as far as it concerns the accounts.

use serde::Deserialize;
use serde_json::Value;

/// An account and its balance.
pub(super) type Account = (u32, i64);

/// The columns of the table of accounts, in their order, with their types.
const COLUMNS: [(&str, &str); 2] = [("id", "U32"), ("balance", "I64")];
/// The reducers, with the types of their parameters.
const REDUCERS: [(&str, &[&str]); 2] = [
    ("seed", &["U32", "I64"]),
    ("transfer", &["U32", "U32", "I64"]),
];

/// The answer to one SQL statement.
#[derive(Deserialize)]
struct Statement {
    schema: Value,
    rows: Vec<Account>,
}

/// Reads the rows of `SELECT * FROM accounts…`. Balances are exact: they are read as integers.
pub(super) fn read_accounts(body: &[u8]) -> Result<Vec<Account>, String> {
    let answer: Result<[Statement; 1], _> = serde_json::from_slice(body);
    let [statement] = answer
        .map_err(|error| format!("no rows of a u32 and an i64 of one statement ({error})"))?;
    let columns = elements(&statement.schema);
    if columns != COLUMNS {
        return Err(format!(
            "the columns are {}, not {}",
            typed(&columns),
            typed(&COLUMNS)
        ));
    }
    Ok(statement.rows)
}

/// Whether a module's schema has the reducers that are called; else what it has.
pub(super) fn check_schema(body: &[u8]) -> Result<(), String> {
    let schema: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is not a schema in JSON ({error})"))?;
    let named = |kind: &str| {
        let all = schema[kind].as_array().map_or(&[][..], Vec::as_slice);
        all.iter()
            .filter_map(|one| Some((one["name"].as_str()?, one)))
    };
    for (name, types) in REDUCERS {
        let there: Vec<_> = named("reducers").map(|(name, _)| name).collect();
        let Some((_, reducer)) = named("reducers").find(|(other, _)| *other == name) else {
            return Err(format!(
                "it has no reducer {name}, only {}",
                there.join(", ")
            ));
        };
        let params = elements(&reducer["params"]);
        let found: Vec<_> = params.iter().map(|(_, of)| *of).collect();
        if found != types {
            return Err(format!(
                "its reducer {name} takes ({}), not ({})",
                found.join(", "),
                types.join(", ")
            ));
        }
    }
    if !named("tables").any(|(name, _)| name == "accounts") {
        let there: Vec<_> = named("tables").map(|(name, _)| name).collect();
        return Err(format!(
            "it has no table accounts, only {}",
            there.join(", ")
        ));
    }
    Ok(())
}

/// Names with their types, for people.
fn typed(elements: &[(&str, &str)]) -> String {
    let all = elements.iter().map(|(name, of)| format!("{name}: {of}"));
    all.collect::<Vec<_>>().join(", ")
}

/// The names and types of a product's elements; empty where there is none.
fn elements(product: &Value) -> Vec<(&str, &str)> {
    let all = product["elements"].as_array();
    let all = all.map_or(&[][..], Vec::as_slice);
    all.iter()
        .map(|one| element(one).unwrap_or_default())
        .collect()
}

fn element(element: &Value) -> Option<(&str, &str)> {
    let name = element["name"]["some"].as_str()?;
    let (of, _) = element["algebraic_type"].as_object()?.iter().next()?;
    Some((name, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &str) -> String {
        format!(
            "[{{\"schema\":{{\"elements\":[\
             {{\"name\":{{\"some\":\"id\"}},\"algebraic_type\":{{\"U32\":[]}}}},\
             {{\"name\":{{\"some\":\"balance\"}},\"algebraic_type\":{{\"I64\":[]}}}}]}},\
             \"rows\":{rows},\"total_duration_micros\":380,\"stats\":{{}}}}]"
        )
    }

    #[test]
    fn balances_are_exact() {
        let text = answer("[[3,9007199254740993],[0,-1],[1,9223372036854775807]]");
        let read = read_accounts(text.as_bytes()).unwrap();
        assert_eq!(read, [(3, 9_007_199_254_740_993), (0, -1), (1, i64::MAX)]);
        assert_eq!(read_accounts(answer("[]").as_bytes()), Ok(Vec::new()));
    }

    #[test]
    fn other_rows_are_refused_with_what_came() {
        for (text, says) in [
            (answer("[[1,2.5]]"), "no rows of a u32 and an i64"),
            (answer("[[-1,2]]"), "no rows of a u32 and an i64"),
            (answer("[[1,2,3]]"), "no rows of a u32 and an i64"),
            (answer("[[1,9223372036854775808]]"), "no rows of a u32"),
            ("[]".to_owned(), "no rows of a u32 and an i64"),
            ("no".to_owned(), "no rows of a u32 and an i64"),
            (
                answer("[[1,2]]").replace("balance", "money"),
                "not id: U32, balance: I64",
            ),
        ] {
            let error = read_accounts(text.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
