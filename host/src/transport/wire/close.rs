//! What a close frame says, RFC 6455, section 5.5.1: nothing, or a code and a reason.

use super::frame::Fault;

/// The code that a client gave.
pub(super) fn code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Fault::Protocol("a close has half a code")) };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(Fault::Protocol("a close has a code that is never sent"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Fault::Utf8);
    }
    Ok(Some(code))
}

/// Section 7.4: those that are defined for frames, with what was registered since, and those that are left to
/// libraries and applications.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_says_nothing_or_a_code_that_may_be_sent_and_a_reason() {
        assert_eq!(code(b""), Ok(None));
        assert_eq!(code(&[0x03, 0xE8]), Ok(Some(1000)));
        assert_eq!(code(b"\x0f\xa0why"), Ok(Some(4000)));
        assert!(matches!(code(&[3]), Err(Fault::Protocol(_))));
        for wrong in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert!(matches!(code(&wrong.to_be_bytes()), Err(Fault::Protocol(_))), "{wrong}");
        }
        assert_eq!(code(b"\x03\xe8\xff"), Err(Fault::Utf8));
    }
}
