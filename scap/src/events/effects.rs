//! The effects of `include/effects.def`.

use super::same;

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
    };
}
with_effects!(effects);
