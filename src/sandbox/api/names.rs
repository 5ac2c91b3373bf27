//! Deterministic names: everything that looks random in the data is drawn here from an index and a word.
//!
//! No generator state: the same index always has the same name, so that records can be made in any order, or not at all.

/// A well mixed number for record `index`, independent for every `word`.
pub(super) fn draw(index: u64, word: &str) -> u64 {
    // FNV-1a over the word, then the finaliser of splitmix64.
    let word = word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut mixed = word.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of `choices`, by `drawn`. `choices` is never empty.
pub(super) fn pick<T: Copy>(drawn: u64, choices: &[T]) -> T {
    choices[usize::try_from(drawn % choices.len() as u64).unwrap_or_default()]
}

/// `digits` lower-case hexadecimal digits: a device id has 40, a SHA-1 40, a SHA-256 64.
pub(super) fn hex(drawn: u64, digits: usize) -> String {
    let block = |block| format!("{:016x}", draw(drawn.wrapping_add(block), "hex"));
    let mut text: String = (0..).map(block).take(digits.div_ceil(16)).collect();
    text.truncate(digits);
    text
}

/// A GUID in the layout of version 4.
pub(super) fn guid(drawn: u64) -> String {
    let high = draw(drawn, "guid high");
    let low = draw(drawn, "guid low");
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        8 + (low >> 62),
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff,
    )
}

/// The account names of the invented companies.
pub(super) const USERS: [&str; 12] = [
    "adele", "bianca", "carlos", "diego", "esra", "fumiko", "grace", "henrik", "ines", "joni",
    "kwame", "lidia",
];

/// The tenant whose data this is.
pub(super) const TENANT: &str = "5a9db0c5-0000-4000-8000-000000000001";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_index_same_name_and_other_index_other_name() {
        assert_eq!(hex(draw(7, "machine"), 40), hex(draw(7, "machine"), 40));
        assert_ne!(draw(7, "machine"), draw(8, "machine"));
        assert_ne!(draw(7, "machine"), draw(7, "alert"));
    }

    #[test]
    fn shapes() {
        assert_eq!(hex(1, 64).len(), 64);
        let guid = guid(3);
        assert_eq!(guid.len(), 36);
        assert_eq!(guid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&guid.as_bytes()[19]));
    }
}
