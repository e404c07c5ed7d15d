//! Enums whose variants have names: options of the command line, and values of the configuration.

use std::str::FromStr;

/// One of a fixed number of named values.
pub trait Choice: Copy + FromStr<Err = String> + 'static {
    /// All values, in the order of the help text.
    const ALL: &'static [Self];

    /// Returns its name, as users type it.
    fn name(self) -> &'static str;

    /// Returns its line in the help text.
    fn help(self) -> &'static str;
}

/// Returns the value of that name.
///
/// # Errors
/// A message with all names, if none is the given one.
pub fn by_name<T: Choice>(name: &str) -> Result<T, String> {
    let found = T::ALL.iter().copied().find(|choice| choice.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = T::ALL.iter().map(|choice| choice.name()).collect();
        format!("`{name}` is not one of {}", names.join(", "))
    })
}

/// Defines an enum, and its [`Choice`] from the same rows. The line of the help text is also the documentation.
macro_rules! choices {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident {
            $($(#[$of_variant:meta])* $variant:ident = $name:literal: $help:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $(#[doc = $help] $(#[$of_variant])* $variant,)*
        }

        impl Choice for $type {
            const ALL: &'static [$type] = &[$($type::$variant),*];

            fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)*
                }
            }

            fn help(self) -> &'static str {
                match self {
                    $($type::$variant => $help,)*
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(name: &str) -> Result<$type, String> {
                crate::choice::by_name(name)
            }
        }
    };
}

pub(crate) use choices;

#[cfg(test)]
mod tests {
    use super::*;

    choices! {
        /// Two values.
        pub enum Two {
            One = "one": "The first",
            Other = "other": "The second",
        }
    }

    #[test]
    fn a_choice_is_found_by_its_name() {
        assert_eq!(Two::ALL.iter().map(|two| two.name()).collect::<Vec<_>>(), ["one", "other"]);
        assert_eq!((Two::One.help(), "other".parse()), ("The first", Ok(Two::Other)));
        assert_eq!("One".parse::<Two>(), Err("`One` is not one of one, other".to_owned()));
    }
}
