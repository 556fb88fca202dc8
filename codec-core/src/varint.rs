//! LEB128: numbers of 32 bits in one to five bytes. Seven bits a byte, least first; the top bit says that more follow.

/// Longest number, bytes.
pub const MAX_LEN: usize = 5;

/// Reads a number, byte by byte. What is more than 32 bits or longer than it must be is given to `refuse`, as far as it
/// was read.
///
/// # Errors
/// Those of `byte` and of `refuse`.
pub fn read<E>(mut byte: impl FnMut() -> Result<u8, E>, refuse: impl FnOnce(u64) -> E) -> Result<u32, E> {
    let mut value = 0u64;
    for i in 0..MAX_LEN {
        let byte = byte()?;
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let padded = byte == 0 && i > 0;
            return match u32::try_from(value) {
                Ok(value) if !padded => Ok(value),
                _ => Err(refuse(value)),
            };
        }
    }
    Err(refuse(value))
}

/// The bytes of a number.
pub fn emit(mut value: u32) -> heapless::Vec<u8, MAX_LEN> {
    let mut out = heapless::Vec::new();
    // Never full: five bytes hold 35 bits.
    while value >= 0x80 {
        let _ = out.push(value as u8 | 0x80);
        value >>= 7;
    }
    let _ = out.push(value as u8);
    out
}

/// How many bytes a number takes.
#[must_use]
pub const fn len(value: u32) -> usize {
    match value.checked_ilog2() {
        Some(log) => log as usize / 7 + 1,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<u32, Option<u64>> {
        let mut rest = bytes.iter();
        let value = read(|| rest.next().copied().ok_or(None), Some)?;
        assert!(rest.next().is_none(), "{bytes:x?}: not all was read");
        Ok(value)
    }

    #[test]
    fn numbers() {
        let edges = (0..32).flat_map(|bit| [1u32 << bit, (1 << bit) - 1, !0 >> bit]);
        for value in edges {
            let bytes = emit(value);
            assert_eq!((parse(&bytes), len(value)), (Ok(value), bytes.len()));
            // One byte less is no number.
            assert_eq!(parse(&bytes[..bytes.len() - 1]), Err(None));
        }
        assert_eq!(emit(300), [0xac, 2]);
        assert_eq!(emit(u32::MAX), [0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn refused() {
        assert_eq!(parse(&[0x80, 0]), Err(Some(0)), "padded");
        assert_eq!(parse(&[0xac, 0x82, 0]), Err(Some(300)), "padded");
        assert_eq!(parse(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(Some(0x1_ffff_ffff)), "33 bits");
        assert_eq!(parse(&[0x80; 5]), Err(Some(0)), "six bytes");
    }
}
