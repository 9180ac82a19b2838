//! Enums whose variants have names, on the command line and in records.

/// Declares an enum whose variants have names, and the error of a text that names none of them.
/// Whoever uses it has `thiserror`.
#[macro_export]
macro_rules! named {
    (
        $(#[$about:meta])* $kind:ident, $unknown:ident = $message:literal;
        $($(#[$of:meta])* $variant:ident = $name:literal,)*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $kind {
            $($(#[$of])* $variant,)*
        }

        impl $kind {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name on the command line and in records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $kind {
            type Err = $unknown;

            fn from_str(text: &str) -> Result<Self, $unknown> {
                let mut all = Self::ALL.into_iter();
                all.find(|one| one.as_str() == text)
                    .ok_or_else(|| $unknown(text.to_owned()))
            }
        }

        /// A text that names none of them.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error($message)]
        pub struct $unknown(String);
    };
}
