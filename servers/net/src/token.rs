//! Bearer tokens: read from a file, sent in a header, compared without telling how alike two
//! are. No form of a token shows it.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use http::header::HeaderValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Fewest bytes of a token: what is shorter can be guessed by trying.
pub const TOKEN_BYTES_MIN: usize = 16;
/// Most bytes of a token: it must fit into the headers that servers take.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// Why a file gives no token. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read the token file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What it holds cannot be a token.
    #[error(
        "the token file {} {fault}: write one line of {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} \
         characters into it, such as openssl rand -hex 32 prints",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: TokenFault,
    },
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Nothing, or nothing but the end of a line.
    #[error("is empty")]
    Empty,
    /// Something stands behind the first line.
    #[error("holds more than one line")]
    SeveralLines,
    /// Below [`TOKEN_BYTES_MIN`].
    #[error("holds too short a token")]
    TooShort,
    /// Above [`TOKEN_BYTES_MAX`].
    #[error("holds too long a token")]
    TooLong,
    /// Not all of it is visible ASCII: it could not be sent in a header.
    #[error("holds blanks or characters that are not ASCII")]
    NotVisible,
}

/// A secret that whoever connects must show.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// The one line of a file, without the end of the line. A pipe will do for a file.
    ///
    /// # Errors
    /// The file cannot be read, or what it holds is no token.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // One byte more than a token and the end of its line may have: enough to refuse it.
        let limit = TOKEN_BYTES_MAX as u64 + 3;
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Self::parse(&bytes).map_err(|fault| TokenError::Unusable {
            path: path.to_owned(),
            fault,
        })
    }

    /// A token from the text of a file.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &[u8]) -> Result<Self, TokenFault> {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(TokenFault::Empty);
        }
        if line.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        if line.contains(&b'\n') {
            return Err(TokenFault::SeveralLines);
        }
        if !line.iter().all(u8::is_ascii_graphic) {
            return Err(TokenFault::NotVisible);
        }
        if line.len() < TOKEN_BYTES_MIN {
            return Err(TokenFault::TooShort);
        }
        let text = String::from_utf8(line.to_vec()).map_err(|_| TokenFault::NotVisible)?;
        Ok(Self(text))
    }

    /// What a client sends as `Authorization`; marked so that HTTP libraries do not show it.
    ///
    /// # Panics
    /// Never: a token is visible ASCII.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let text = format!("Bearer {}", self.0);
        let mut value = HeaderValue::try_from(text).expect("a token is visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// What a server keeps of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// A token's SHA-256: enough to recognise the token, too little to show it. Digests have one
/// length, so comparing them does not tell that of the token either.
#[derive(Clone)]
pub struct TokenDigest([u8; 32]);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(***)")
    }
}

impl TokenDigest {
    /// Whether this `Authorization` shows the token: the scheme `Bearer` in any case, blanks,
    /// the token and nothing else (RFC 6750). The time it takes does not depend on how much of
    /// the token is right.
    #[must_use]
    pub fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let Some(shown) = bearer(authorization) else {
            return false;
        };
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

/// The token of an `Authorization` header, if it is one of the scheme `Bearer`.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(b"Bearer".len())?;
    let token = rest.trim_ascii_start();
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && token.len() < rest.len();
    (is_bearer && token.len() <= TOKEN_BYTES_MAX).then_some(token)
}

/// What to say of a secret's file that others than its owner may read.
#[must_use]
pub fn exposed(what: &str, path: &Path) -> Option<String> {
    readable_by_others(path).then(|| {
        let path = path.display();
        format!("others can read the {what} {path}: chmod 600 {path}")
    })
}

/// `false` where that cannot be told.
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    const GROUP_OR_OTHERS_READ: u32 = 0o044;
    let Ok(about) = std::fs::metadata(path) else {
        return false;
    };
    about.is_file() && about.permissions().mode() & GROUP_OR_OTHERS_READ != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "0123456789abcdef-secret";

    fn token() -> Token {
        Token::parse(SECRET.as_bytes()).unwrap()
    }

    #[test]
    fn a_token_is_one_line_of_visible_characters() {
        for line in [
            SECRET.to_owned(),
            format!("{SECRET}\n"),
            format!("{SECRET}\r\n"),
        ] {
            assert_eq!(Token::parse(line.as_bytes()).unwrap().0, SECRET);
        }
        assert!(Token::parse(&[b'x'; TOKEN_BYTES_MIN]).is_ok());
        assert!(Token::parse(&[b'x'; TOKEN_BYTES_MAX]).is_ok());
        for (text, fault) in [
            (&b""[..], TokenFault::Empty),
            (b"\n", TokenFault::Empty),
            (b"\r\n", TokenFault::Empty),
            (b"0123456789abcde", TokenFault::TooShort),
            (b"0123456789abcdef\n\n", TokenFault::SeveralLines),
            (b"0123456789abcdef\nx", TokenFault::SeveralLines),
            (b"0123456789 abcdef", TokenFault::NotVisible),
            (b"\t0123456789abcdef", TokenFault::NotVisible),
            (b"0123456789abcdef\0", TokenFault::NotVisible),
            (b"0123456789abcdef\xc3\xa4", TokenFault::NotVisible),
            (&[b'x'; TOKEN_BYTES_MAX + 1], TokenFault::TooLong),
        ] {
            assert_eq!(Token::parse(text).unwrap_err(), fault, "{text:?}");
        }
    }

    #[test]
    fn a_file_is_read_no_further_than_needed_to_refuse_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let fault = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            match Token::from_file(&path) {
                Err(TokenError::Unusable { fault, .. }) => Some(fault),
                other => {
                    other.unwrap();
                    None
                }
            }
        };
        let with_end = |length| [&vec![b'x'; length][..], b"\r\n"].concat();
        assert_eq!(fault(&with_end(TOKEN_BYTES_MAX)), None);
        assert_eq!(
            fault(&with_end(TOKEN_BYTES_MAX + 1)),
            Some(TokenFault::TooLong)
        );
        assert_eq!(fault(&vec![b'x'; 1 << 20]), Some(TokenFault::TooLong));
        let error = Token::from_file(&directory.path().join("none")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the token file"));
    }

    #[test]
    fn nothing_shows_a_token() {
        let shown = format!(
            "{0:?} {0:#?} {1:?} {2:?}",
            token(),
            token().digest(),
            token().header_value()
        );
        assert!(
            !shown.contains("secret") && !shown.contains("0123"),
            "{shown}"
        );
        let digest = format!("{:?}", token().digest().0);
        assert!(!format!("{:?}", token().digest()).contains(&digest[1..9]));
    }

    #[test]
    fn only_the_whole_token_of_the_scheme_bearer_will_do() {
        let digest = token().digest();
        for right in ["Bearer ", "bearer ", "BEARER   "] {
            assert!(digest.is_shown_by(format!("{right}{SECRET}").as_bytes()));
        }
        assert!(digest.is_shown_by(token().header_value().as_bytes()));
        let mut wrong: Vec<String> = (0..SECRET.len())
            .map(|length| format!("Bearer {}", &SECRET[..length]))
            .collect();
        wrong.extend([
            format!("Bearer{SECRET}"),
            format!("Basic {SECRET}"),
            format!("Bearer {SECRET}x"),
            format!("Bearer {SECRET} "),
            format!("Bearer x {SECRET}"),
            format!(" Bearer {SECRET}"),
            SECRET.to_owned(),
            "Bearer".to_owned(),
            String::new(),
            format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1)),
        ]);
        for wrong in wrong {
            assert!(!digest.is_shown_by(wrong.as_bytes()), "{wrong}");
        }
    }

    /// Nothing but the comparison of `subtle` decides: neither type can be compared otherwise.
    #[test]
    fn tokens_are_compared_in_constant_time() {
        let source = include_str!("token.rs");
        let (code, _) = source.split_once("#[cfg(test)]").unwrap();
        assert_eq!(code.matches(".ct_eq(").count(), 1);
        for kind in ["pub struct Token(", "pub struct TokenDigest("] {
            let (before, _) = code.split_once(kind).unwrap();
            let derived = before.rsplit("#[derive(").next().unwrap();
            assert!(!derived.contains("PartialEq"), "{kind}");
        }
        assert!(!code.contains("PartialEq for Token"));
    }

    proptest! {
        #[test]
        fn no_header_but_the_right_one_is_taken(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!token().digest().is_shown_by(&bytes));
        }

        #[test]
        fn what_is_parsed_is_what_is_shown(text in "[!-~]{16,64}", ending in "(\r?\n)?") {
            let token = Token::parse(format!("{text}{ending}").as_bytes()).unwrap();
            let value = token.header_value();
            prop_assert!(token.digest().is_shown_by(value.as_bytes()));
            let expected = format!("Bearer {text}");
            prop_assert_eq!(value.as_bytes(), expected.as_bytes());
        }
    }
}
