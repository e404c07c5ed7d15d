//! Numbers by time as text: few characters, and all of them safe in a page.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Packs numbers: each as its low seven bits, then the next seven, as long as there are more, which the top bit says
/// (LEB128); all in base64.
#[derive(Debug, Default)]
pub(super) struct Packer(Vec<u8>);

impl Packer {
    pub fn put(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub fn into_text(self) -> String {
        STANDARD.encode(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_packed() {
        let mut packer = Packer::default();
        [0, 127, 128, 300, u64::MAX].into_iter().for_each(|number| packer.put(number));
        let bytes = STANDARD.decode(packer.into_text()).unwrap();
        assert_eq!(bytes[..6], [0, 127, 0x80, 1, 0xac, 2]);
        assert_eq!(bytes[6..], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }
}
