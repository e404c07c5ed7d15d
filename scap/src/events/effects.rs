//! The effects of `include/effects.def`.

use super::{EventFlags, same};

macro_rules! effects {
    ($(EFFECT($token:ident, $variant:ident, $about:literal))*) => {
        /// What an event does to the model of the machine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Effect {
            $(#[doc = $about] $variant,)*
        }

        impl Effect {
            /// Every effect.
            pub const ALL: &[Effect] = &[$(Effect::$variant),*];

            /// The effects by their tokens.
            const TOKENS: &[&str] = &[$(stringify!($token)),*];

            /// Returns the effect of a row, given the token of one of its flags.
            pub(super) const fn of_token(token: &str) -> Option<Effect> {
                let mut i = 0;
                while i < Effect::TOKENS.len() {
                    if same(Effect::TOKENS[i], token) {
                        return Some(Effect::ALL[i]);
                    }
                    i += 1;
                }
                None
            }
        }

        /// An effect stands among a row's flags and is none of them.
        impl EventFlags {
            $(pub(super) const $token: EventFlags = EventFlags::NONE;)*
        }
    };
}
with_effects!(effects);
