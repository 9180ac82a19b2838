//! What went over the wire where an answer is not as the protocol has it, so that whoever writes
//! the server needs no other tool to see it.

use crate::connector::beginning;
use crate::control;

/// What is shown of each: a line of a terminal of 80 columns, with what stands before it.
const TEXT_CHARS_MAX: usize = 68;

/// A request, the answer that the protocol has for it, and the one that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The request.
    pub sent: String,
    /// How it should have been answered.
    pub expected: String,
    /// How it was.
    pub came: String,
}

impl Exchange {
    /// Of the last call of a control plane; `expected` is an answer without its number. What is
    /// long is shown from `key` on, where there is one.
    pub(super) fn of(last: control::Exchange, expected: &str, key: Option<&str>) -> Self {
        let control::Exchange { sent, id, came, .. } = last;
        let expected = match (id, expected.strip_prefix('{')) {
            (Some(id), Some(rest)) => format!("{{\"id\":{},{rest}", id.get()),
            _ => expected.to_owned(),
        };
        Self {
            sent: short(&sent, None),
            expected: short(&expected, key),
            came: came.map_or_else(|| "nothing".to_owned(), |came| short(&came, key)),
        }
    }

    /// Its lines: what each is, and its text.
    #[must_use]
    pub fn lines(&self) -> [(&'static str, &str); 3] {
        [
            ("sent", &self.sent),
            ("expected", &self.expected),
            ("came", &self.came),
        ]
    }
}

/// The answer of an example that the protocol has for a method.
pub(super) fn expected(method: &str) -> &'static str {
    match method {
        "health" => r#"{"ok":true,"result":{"status":"ok"}}"#,
        "getAccount" => r#"{"ok":true,"result":{"id":0,"balance":"1000000"}}"#,
        "verify" => r#"{"ok":true,"result":{"accounts":"…","total":"…","changed":"…"}}"#,
        "info" => r#"{"ok":true,"result":{"server":"…","version":"…",…}}"#,
        "stats" => r#"{"ok":true,"result":{"committed":0,"applied":0,…}}"#,
        _ => r#"{"ok":true}"#,
    }
}

/// The answer of the protocol to a transfer that must be refused.
pub(super) fn refusal(code: &str) -> String {
    format!(r#"{{"ok":false,"error":"{code}"}}"#)
}

/// The answer of `getAccount`; of an account that is not there without a balance.
pub(super) fn account(id: u32, balance: Option<i64>) -> String {
    let result = balance.map_or_else(
        || "null".to_owned(),
        |balance| format!(r#"{{"id":{id},"balance":"{balance}"}}"#),
    );
    format!(r#"{{"ok":true,"result":{result}}}"#)
}

fn short(text: &str, key: Option<&str>) -> String {
    let is_long = text.chars().count() > TEXT_CHARS_MAX;
    let key = key.filter(|_| is_long).map(|key| format!("\"{key}\""));
    match key.and_then(|key| text.find(&key)) {
        Some(place @ 1..) => format!("…{}", beginning(&text[place..], TEXT_CHARS_MAX - 1)),
        _ => beginning(text, TEXT_CHARS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use busload_wire::RequestId;

    use super::*;

    #[test]
    fn what_went_over_the_wire_fits_a_line_and_shows_what_matters() {
        let last = control::Exchange {
            method: "stats",
            sent: "{\"id\":7,\"name\":\"stats\"}".to_owned(),
            id: RequestId::new(7),
            came: Some(format!(
                "{{\"id\":7,{}\"applied\":3,\u{1b}{}}}",
                "\"x\":1,".repeat(20),
                "\"y\":2,".repeat(20)
            )),
        };
        let shown = Exchange::of(
            last,
            r#"{"ok":true,"result":{"applied":8,…}}"#,
            Some("applied"),
        );
        assert_eq!(shown.sent, "{\"id\":7,\"name\":\"stats\"}");
        assert_eq!(
            shown.expected, "{\"id\":7,\"ok\":true,\"result\":{\"applied\":8,…}}",
            "with the number that the answer has to carry"
        );
        assert!(
            shown.came.starts_with("…\"applied\":3,\\u{1b}"),
            "{}",
            shown.came
        );
        assert!(shown.came.ends_with('…') && shown.came.chars().count() <= 80);
    }
}
