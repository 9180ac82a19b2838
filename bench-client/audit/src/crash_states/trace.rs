//! What `strace` wrote, call by call.
//!
//! With `-f` every line begins with the number of its thread. A call that another thread's
//! call interrupts has two lines, `NAME(ARGUMENTS <unfinished ...>` and later
//! `<... NAME resumed>REST) = RESULT`; together they are one [`Call`].
//!
//! `strace` reports in the order in which it saw the threads stop. Whatever a thread does
//! because a call of another one has returned therefore comes on a later line than that
//! return: the order of lines holds every order that cause and effect gave.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

/// What a system call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this.
    Returned(i64),
    /// It failed.
    Failed,
    /// Its return was not seen: the process ended, or the trace did.
    Unseen,
}

/// One system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// Its name.
    pub name: String,
    /// The text between its parentheses.
    pub arguments: String,
    /// What it came to.
    pub outcome: Outcome,
    /// The line on which it began, from 1.
    pub began: u64,
    /// The line on which it returned; that after the last one when its return was not seen.
    pub ended: u64,
}

/// A trace cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("the trace cannot be read after line {line}")]
    Read {
        /// The last line that could be.
        line: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line is not of the form that is understood.
    #[error("line {line} of the trace: {why}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads calls from a trace, in the order in which they returned. Calls that never did come
/// at the end, in the order in which they began.
#[derive(Debug)]
pub struct Calls<R> {
    reader: R,
    line: u64,
    text: Vec<u8>,
    /// By thread: a thread makes one call at a time.
    unfinished: BTreeMap<u32, Call>,
    over: bool,
}

impl<R: BufRead> Calls<R> {
    /// Calls of the trace that `reader` gives.
    pub const fn new(reader: R) -> Self {
        Self {
            reader,
            line: 0,
            text: Vec::new(),
            unfinished: BTreeMap::new(),
            over: false,
        }
    }

    fn next_call(&mut self) -> Result<Option<Call>, TraceError> {
        while !self.over {
            self.text.clear();
            let read = self.reader.read_until(b'\n', &mut self.text);
            let read = read.map_err(|source| TraceError::Read {
                line: self.line,
                source,
            })?;
            if self.text.pop_if(|last| *last == b'\n').is_none() {
                // The end, or a line that was being written when strace was killed.
                self.over = true;
                self.line += u64::from(read > 0);
                break;
            }
            self.line += 1;
            let text = String::from_utf8_lossy(&self.text);
            let call = take(&text, self.line, &mut self.unfinished);
            let line = self.line;
            if let Some(call) = call.map_err(|why| TraceError::Line { line, why })? {
                return Ok(Some(call));
            }
        }
        let began_first = self.unfinished.values().min_by_key(|call| call.began);
        let thread = began_first.map(|call| call.thread);
        Ok(thread.and_then(|thread| {
            let mut call = self.unfinished.remove(&thread)?;
            call.ended = self.line + 1;
            Some(call)
        }))
    }
}

impl<R: BufRead> Iterator for Calls<R> {
    type Item = Result<Call, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_call().transpose()
    }
}

/// The call that a line completes, if it completes one.
fn take(
    text: &str,
    line: u64,
    unfinished: &mut BTreeMap<u32, Call>,
) -> Result<Option<Call>, String> {
    let (thread, rest) = text
        .split_once(' ')
        .ok_or("it does not begin with a thread's number (is -f missing?)")?;
    let thread: u32 = thread
        .parse()
        .map_err(|_| "it does not begin with a thread's number (is -f missing?)")?;
    let rest = rest.trim_start();
    if rest.starts_with("+++ ") || rest.starts_with("--- ") {
        return Ok(None);
    }
    if let Some(resumed) = rest.strip_prefix("<... ") {
        let (name, tail) = resumed
            .split_once(" resumed>")
            .ok_or("a resumed call without its name")?;
        let mut call = unfinished
            .remove(&thread)
            .filter(|call| call.name == name)
            .ok_or_else(|| format!("{name} is resumed and was not begun"))?;
        let (arguments, outcome) = end_of(tail)?;
        call.arguments.push_str(arguments);
        (call.outcome, call.ended) = (outcome, line);
        return Ok(Some(call));
    }
    let (name, tail) = rest.split_once('(').ok_or("no call")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err("no call".to_owned());
    }
    let call = |arguments: &str, outcome| Call {
        thread,
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        outcome,
        began: line,
        ended: line,
    };
    if let Some(arguments) = tail.strip_suffix("<unfinished ...>") {
        let call = call(arguments.trim_end_matches(' '), Outcome::Unseen);
        if let Some(earlier) = unfinished.insert(thread, call) {
            return Err(format!("thread {thread} is still in {}", earlier.name));
        }
        return Ok(None);
    }
    if unfinished.contains_key(&thread) {
        return Err(format!("thread {thread} is still in another call"));
    }
    let (arguments, outcome) = end_of(tail)?;
    Ok(Some(call(arguments, outcome)))
}

/// Splits `ARGUMENTS) = RESULT`. In a trace with `-xx` no string holds a parenthesis, so the
/// first that an equals sign follows is the end of the arguments.
fn end_of(tail: &str) -> Result<(&str, Outcome), String> {
    let closing = tail.match_indices(')').find_map(|(at, _)| {
        let result = tail[at + 1..].trim_start().strip_prefix("= ")?;
        Some((&tail[..at], result))
    });
    let (arguments, result) = closing.ok_or("a call without its result")?;
    Ok((arguments, outcome(result)?))
}

fn outcome(result: &str) -> Result<Outcome, String> {
    // Before a space or the name of a new descriptor.
    let number = result.split([' ', '<']).next().unwrap_or_default();
    if number == "?" {
        return Ok(Outcome::Unseen);
    }
    if let Some(hexadecimal) = number.strip_prefix("0x") {
        let value = u64::from_str_radix(hexadecimal, 16);
        let value = value.map_err(|_| format!("no result: {number}"))?;
        return Ok(Outcome::Returned(value.cast_signed()));
    }
    let value: i64 = number.parse().map_err(|_| format!("no result: {number}"))?;
    let failed = value == -1 && result.starts_with("-1 E");
    Ok(if failed {
        Outcome::Failed
    } else {
        Outcome::Returned(value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Call>, TraceError> {
        Calls::new(text.as_bytes()).collect()
    }

    #[test]
    fn two_halves_are_one_call() {
        let calls = read(concat!(
            "7 fdatasync(5<\\x2f>) = 0\n",
            "7 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>,  <unfinished ...>\n",
            "8 --- SIGCHLD {si_signo=SIGCHLD} ---\n",
            "8 openat(AT_FDCWD<\\x2f>, \"\\x61\", O_RDONLY) = -1 ENOENT (No such file or directory)\n",
            "7 <... recvfrom resumed>\"\\x61\", 9, 0, NULL, NULL) = 1\n",
            "8 mmap(NULL, 32768, PROT_READ, MAP_SHARED, 7<\\x61>, 0) = 0x7f2e3326f000\n",
            "7 fdatasync(5<\\x2f> <unfinished ...>\n",
            "8 close(5<\\x2f>)          = 0\n",
            "8 exit_group(0)            = ?\n",
            "8 +++ exited with 0 +++\n",
        ))
        .unwrap();
        let shown: Vec<_> = calls
            .iter()
            .map(|call| (call.name.as_str(), call.outcome, call.began, call.ended))
            .collect();
        assert_eq!(
            shown,
            [
                ("fdatasync", Outcome::Returned(0), 1, 1),
                ("openat", Outcome::Failed, 4, 4),
                ("recvfrom", Outcome::Returned(1), 2, 5),
                ("mmap", Outcome::Returned(0x7f2e_3326_f000), 6, 6),
                ("close", Outcome::Returned(0), 8, 8),
                ("exit_group", Outcome::Unseen, 9, 9),
                ("fdatasync", Outcome::Unseen, 7, 11),
            ]
        );
        let received = &calls[2].arguments;
        assert!(
            received.ends_with(">,\"\\x61\", 9, 0, NULL, NULL"),
            "{received}"
        );
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (text, line) in [
            ("1 close(3) = 0\nclose(3) = 0\n", 2),
            ("1 close(3)\n", 1),
            ("1 close(3) = zero\n", 1),
            ("1 close\n", 1),
            ("1 \n", 1),
            ("\n", 1),
            ("1 <... close resumed>) = 0\n", 1),
            (
                "1 close(3 <unfinished ...>\n1 <... fsync resumed>) = 0\n",
                2,
            ),
            ("1 close(3 <unfinished ...>\n1 close(3) = 0\n", 2),
            (
                "1 close(3 <unfinished ...>\n1 close(3 <unfinished ...>\n",
                2,
            ),
        ] {
            match read(text) {
                Err(TraceError::Line { line: found, .. }) => assert_eq!(found, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_line_cut_by_the_end_of_strace_is_left_out() {
        let calls = read("1 close(3) = 0\n1 pwrite64(3<\\x2f>, \"\\x").unwrap();
        assert_eq!(calls.len(), 1);
    }

    /// Writes calls as strace does.
    #[derive(Default)]
    struct Writer {
        text: String,
        line: u64,
        /// Begun, with the number of calls that begin before they return.
        open: Vec<(Call, u8)>,
        returned: Vec<Call>,
    }

    impl Writer {
        fn put(&mut self, line: &str) {
            self.text.push_str(line);
            self.text.push('\n');
            self.line += 1;
        }

        fn result(outcome: Outcome) -> String {
            match outcome {
                Outcome::Returned(value) => value.to_string(),
                Outcome::Failed => "-1 EIO (Input/output error)".to_owned(),
                Outcome::Unseen => "?".to_owned(),
            }
        }

        /// Returns from every call that is due, or that `thread` is in.
        fn resume(&mut self, thread: Option<u32>) {
            let due = |(call, left): &(Call, u8)| Some(call.thread) == thread || *left == 0;
            while let Some(at) = self.open.iter().position(due) {
                let (mut call, _) = self.open.remove(at);
                let result = Self::result(call.outcome);
                self.put(&format!(
                    "{} <... {} resumed>) = {result}",
                    call.thread, call.name
                ));
                call.ended = self.line;
                self.returned.push(call);
            }
        }

        fn call(&mut self, mut call: Call, delay: u8) {
            self.resume(Some(call.thread));
            for (_, left) in &mut self.open {
                *left -= 1;
            }
            call.began = self.line + 1;
            let shown = format!("{} {}({}", call.thread, call.name, call.arguments);
            if delay > 0 {
                self.put(&format!("{shown} <unfinished ...>"));
                self.open.push((call, delay));
            } else {
                self.put(&format!("{shown})   = {}", Self::result(call.outcome)));
                call.ended = self.line;
                self.returned.push(call);
            }
        }
    }

    fn any_call() -> impl Strategy<Value = (Call, u8)> {
        let argument = prop_oneof![
            r"[0-9]{1,3}<(\\x[0-9a-f]{2}){1,4}>",
            r#""(\\x[0-9a-f]{2}){0,9}""#,
            "[A-Z_|]{1,9}",
            r"9<TCP:\[127\.0\.0\.1:[0-9]{1,4}->127\.0\.0\.1:[0-9]{1,4}\]>",
        ];
        let outcome = prop_oneof![
            any::<i64>().prop_map(Outcome::Returned),
            Just(Outcome::Failed),
            Just(Outcome::Unseen),
        ];
        let arguments = prop::collection::vec(argument, 0..5);
        (
            0_u32..4,
            "[a-z]{1,8}[0-9]{0,2}",
            arguments,
            outcome,
            0_u8..4,
        )
            .prop_map(|(thread, name, arguments, outcome, delay)| {
                let arguments = arguments.join(", ");
                let call = Call {
                    thread,
                    name,
                    arguments,
                    outcome,
                    began: 0,
                    ended: 0,
                };
                (call, delay)
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(calls in prop::collection::vec(any_call(), 0..40)) {
            let mut writer = Writer::default();
            for (call, delay) in calls {
                writer.call(call, delay);
            }
            let Writer { text, line, open, mut returned } = writer;
            for (mut call, _) in open {
                (call.outcome, call.ended) = (Outcome::Unseen, line + 1);
                returned.push(call);
            }
            prop_assert_eq!(read(&text).unwrap(), returned);
        }

        #[test]
        fn no_line_panics(text in "[0-9]{0,2} ?[<.a-z(\"\\\\)=? \\-+]{0,60}\n") {
            let _ = read(&text);
        }
    }
}
