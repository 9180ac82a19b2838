//! The arguments of a call in a trace that `strace -yy -xx -v` wrote.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// What a file descriptor stood for when the call was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descriptor {
    /// A file or directory that has this name.
    Path(PathBuf),
    /// A file that has no name any more.
    Deleted(PathBuf),
    /// A connection, by the text that strace shows for it: its two addresses.
    Connection(String),
    /// Anything else.
    Other,
}

/// Reads arguments from left to right.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    rest: &'a str,
}

impl<'a> Arguments<'a> {
    /// The arguments of one call.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn separator(&mut self) {
        self.rest = self.rest.trim_start_matches([',', ' ']);
    }

    /// The text up to the next comma.
    pub fn word(&mut self) -> &'a str {
        self.separator();
        let end = self.rest.find(',').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.trim_end()
    }

    /// Steps over arguments up to and including `text`.
    pub(crate) fn skip_past(&mut self, text: &str) -> Result<(), String> {
        let at = self.rest.find(text);
        let at = at.ok_or_else(|| format!("no {text} among the arguments"))?;
        self.rest = &self.rest[at + text.len()..];
        Ok(())
    }

    /// A number.
    pub(crate) fn number(&mut self) -> Result<u64, String> {
        let word = self.word();
        word.parse()
            .map_err(|_| format!("'{word}' where a number is expected"))
    }

    /// A file descriptor and what it stands for.
    pub(crate) fn descriptor(&mut self) -> Result<Descriptor, String> {
        self.separator();
        let number = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let end = self.rest.find(|c| !number(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err("no file descriptor".to_owned());
        }
        let Some(rest) = self.rest[end..].strip_prefix('<') else {
            self.rest = &self.rest[end..];
            return Ok(Descriptor::Other);
        };
        let end = annotation_end(rest).ok_or("a file descriptor without its end")?;
        let (shown, rest) = (&rest[..end], &rest[end + 1..]);
        let deleted = rest.strip_prefix("(deleted)");
        self.rest = deleted.unwrap_or(rest);
        let is_connection =
            shown.starts_with("TCP") && shown.contains("->") || shown.starts_with("socket:[");
        if is_connection {
            return Ok(Descriptor::Connection(shown.to_owned()));
        }
        if !shown.starts_with("\\x") || shown.ends_with('>') {
            return Ok(Descriptor::Other);
        }
        let path = PathBuf::from(OsString::from_vec(hexadecimal(shown)?));
        // Older versions of strace leave the kernel's own mark in the name.
        let marked = path
            .to_str()
            .and_then(|path| path.strip_suffix(" (deleted)"));
        Ok(match (deleted, marked) {
            (_, Some(path)) => Descriptor::Deleted(path.into()),
            (Some(_), None) => Descriptor::Deleted(path),
            (None, None) => Descriptor::Path(path),
        })
    }

    /// A string, whole.
    pub(crate) fn string(&mut self) -> Result<Vec<u8>, String> {
        self.separator();
        if let Some(rest) = self.rest.strip_prefix("NULL") {
            self.rest = rest;
            return Ok(Vec::new());
        }
        let text = self.rest.strip_prefix('"').ok_or("no string")?;
        let (text, rest) = text.split_once('"').ok_or("a string without its end")?;
        if rest.starts_with("...") {
            return Err("a string was cut: record with a larger -s".to_owned());
        }
        self.rest = rest;
        hexadecimal(text)
    }

    /// A path: a string that names a file.
    pub(crate) fn path(&mut self) -> Result<PathBuf, String> {
        Ok(PathBuf::from(OsString::from_vec(self.string()?)))
    }

    /// What a call took of its buffer or buffers, which come next: `returned` bytes.
    pub(crate) fn transferred(&mut self, call: &str, returned: i64) -> Result<Vec<u8>, String> {
        let taken = usize::try_from(returned).map_err(|_| "a negative length".to_owned())?;
        let mut bytes = match call {
            "sendmsg" | "recvmsg" => {
                self.skip_past("msg_iov=")?;
                self.vector()?
            }
            "writev" | "readv" | "pwritev" | "pwritev2" => self.vector()?,
            _ => self.string()?,
        };
        if bytes.len() < taken {
            return Err(format!("not all of {taken} bytes are in the trace"));
        }
        bytes.truncate(taken);
        Ok(bytes)
    }

    /// The bytes of all buffers of a vector, one after another.
    pub(crate) fn vector(&mut self) -> Result<Vec<u8>, String> {
        self.separator();
        let list = self.rest.strip_prefix('[').ok_or("no vector of buffers")?;
        self.rest = list;
        let mut bytes = Vec::new();
        while !self.rest.starts_with(']') {
            if self.rest.starts_with("...") || self.rest.is_empty() {
                return Err("a vector was cut: record with -v".to_owned());
            }
            self.skip_past("iov_base=")?;
            bytes.extend(self.string()?);
            self.skip_past("}")?;
            self.separator();
        }
        self.rest = &self.rest[1..];
        Ok(bytes)
    }
}

/// Where the text that follows a descriptor's `<` ends. A connection's has an arrow in it,
/// a device's a pair of brackets of its own.
fn annotation_end(text: &str) -> Option<usize> {
    if text.starts_with("TCP") {
        return text.find("]>").map(|at| at + 1);
    }
    let mut depth = 0_u32;
    let mut before = '<';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before == '-' => {}
            '>' if depth == 0 => return Some(at),
            '>' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

/// Bytes written as `\x61\x62`.
fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    let not_so = || "a string is not in hexadecimal: record with -xx".to_owned();
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes().chunks(4).map(|chunk| match *chunk {
        [b'\\', b'x', high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>().ok_or_else(not_so)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\x{byte:02x}");
            text
        })
    }

    #[test]
    fn descriptors_name_what_they_stand_for() {
        let path = hex(b"/a b");
        for (text, wanted) in [
            (format!("5<{path}>"), Descriptor::Path("/a b".into())),
            (
                format!("5<{path}>(deleted)"),
                Descriptor::Deleted("/a b".into()),
            ),
            (
                format!("5<{}>", hex(b"/a (deleted)")),
                Descriptor::Deleted("/a".into()),
            ),
            (
                "9<TCP:[127.0.0.1:1->127.0.0.1:2]>".to_owned(),
                Descriptor::Connection("TCP:[127.0.0.1:1->127.0.0.1:2]".to_owned()),
            ),
            (
                "9<TCPv6:[[::1]:1->[::1]:2]>".to_owned(),
                Descriptor::Connection("TCPv6:[[::1]:1->[::1]:2]".to_owned()),
            ),
            ("8<TCP:[127.0.0.1:1]>".to_owned(), Descriptor::Other),
            ("3<UNIX-STREAM:[1->2]>".to_owned(), Descriptor::Other),
            (
                format!("7<{}<char 1:9>>", hex(b"/dev/urandom")),
                Descriptor::Other,
            ),
            (format!("AT_FDCWD<{path}>"), Descriptor::Path("/a b".into())),
            ("-1".to_owned(), Descriptor::Other),
            ("5".to_owned(), Descriptor::Other),
        ] {
            let text = format!("{text}, 77");
            let mut arguments = Arguments::new(&text);
            assert_eq!(arguments.descriptor(), Ok(wanted), "{text}");
            assert_eq!(arguments.number(), Ok(77), "{text}");
        }
    }

    #[test]
    fn what_is_cut_is_an_error() {
        assert!(Arguments::new("\"\\x61\"..., 7").string().is_err());
        assert!(Arguments::new("\"abc\"").string().is_err());
        assert!(Arguments::new("\"\\x6\"").string().is_err());
        assert!(
            Arguments::new("[{iov_base=\"\\x61\", iov_len=1}, ...]")
                .vector()
                .is_err()
        );
        assert!(Arguments::new("5<\\x61").descriptor().is_err());
        assert!(Arguments::new("").descriptor().is_err());
    }

    proptest! {
        #[test]
        fn strings_and_vectors_come_back(
            first in prop::collection::vec(any::<u8>(), 0..50),
            second in prop::collection::vec(any::<u8>(), 0..50),
            offset: u64,
        ) {
            let (a, b) = (hex(&first), hex(&second));
            let text = format!("\"{a}\", [{{iov_base=\"{a}\", iov_len=1}}, {{iov_base=\"{b}\", iov_len=2}}], {offset}");
            let mut arguments = Arguments::new(&text);
            prop_assert_eq!(arguments.string().unwrap(), first.clone());
            prop_assert_eq!(arguments.vector().unwrap(), [first, second].concat());
            prop_assert_eq!(arguments.number().unwrap(), offset);
        }
    }
}
