//! Bodies of fuzz targets: the names in a stage directory, and intent records.

#![allow(clippy::missing_panics_doc, reason = "to panic is what they are for")]

use super::record::{Intent, Record, Unframed, frame, is_name, unframe};
use super::stage_dir::{is_hidden_name, is_stage_name, is_token};

/// Names that runs give themselves are known, and no others: told apart by another reading of the same rules.
pub fn stage_names(name: &[u8]) {
    let text = std::str::from_utf8(name).unwrap_or("?");
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_random = |part: &str| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split('-').collect();
    assert_eq!(is_token(name), matches!(parts[..], [pid, random] if is_number(pid) && is_random(random)));
    let is_hidden = match parts[..] {
        [".pmove", uid] => is_number(uid),
        [".pmove", pid, random, number] => is_number(pid) && is_random(random) && is_number(number),
        [".pmove", uid, pid, random, number] => [uid, pid, number].into_iter().all(is_number) && is_random(random),
        _ => false,
    };
    assert_eq!(is_hidden_name(name), is_hidden);
    let number = text.strip_prefix(['s', 'd', 'j', 'r', 't', 'x']);
    let is_stage =
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| b"0123456789-".contains(&byte)));
    let is_hex = |part: &str| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        part.bytes().all(is_digit) && u64::from_str_radix(part, 16).is_ok()
    };
    let is_swapped = match parts[..] {
        [number, staged, judged] => {
            let number = number.strip_prefix('w').filter(|number| is_number(number));
            number.is_some_and(|number| number.parse::<u64>().is_ok()) && is_hex(staged) && is_hex(judged)
        }
        _ => false,
    };
    assert_eq!(is_stage_name(name), is_stage || is_swapped);
    if is_token(name) || is_hidden_name(name) || is_stage_name(name) {
        assert!(is_name(name), "it leads somewhere else");
    }
}

/// Whatever a record's file holds, it is read back as it was written, or not at all.
pub fn record(bytes: &[u8]) {
    believed(bytes);
    // With a frame around it, so that it gets past the checksum.
    let mut framed = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    framed.extend(crc32fast::hash(bytes).to_le_bytes());
    framed.extend(bytes);
    believed(&framed);
    framed[4] ^= 1;
    assert_eq!(Record::parse(&framed), None, "the checksum is wrong");
}

fn believed(bytes: &[u8]) {
    let Some(record) = Record::parse(bytes) else { return };
    let (head, payload) = bytes.split_at(8);
    assert_eq!(head[4..], crc32fast::hash(payload).to_le_bytes());
    for Intent { name, new_name, .. } in &record.entries {
        assert!([name].into_iter().chain(new_name).all(|name| is_name(name)), "it leads somewhere else");
    }
    let mut again = Vec::new();
    frame(&record, &mut again);
    assert_eq!(unframe(&mut &*again), Unframed::Value(record));
}
