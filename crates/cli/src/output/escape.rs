//! Names come from guests, so characters that control a terminal, break a line or are invisible are escaped.

use std::io;

use serde::Serialize;

/// Text for people: control characters, and others that can't be seen or that turn the writing direction,
/// become `\u{..}`.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, is_harmful)
}

/// The same for a line of a diff, in which a tab stays, so that the diff can be applied.
pub(crate) fn printable_line(line: &str) -> String {
    escaped(line, |character| character != '\t' && is_harmful(character))
}

fn escaped(text: &str, is_harmful: impl Fn(char) -> bool) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        if is_harmful(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
        out
    })
}

/// Control characters; Unicode's Default_Ignorable_Code_Point, such as direction marks, joiners and zero-width spaces,
/// which make different names look the same; and line separators.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Pretty-printed JSON with a newline at its end; control and invisible characters are written as `\uXXXX`, which means
/// the same to programs.
///
/// # Errors
/// It can't be written.
pub(crate) fn write_json(out: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    writeln!(out, "{}", json_line(&text))
}

/// The same for JSON text.
pub(crate) fn json_line(text: &str) -> String {
    // Outside of strings, JSON has no such characters except newlines.
    let mut units = [0; 2];
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        if character != '\n' && is_harmful(character) {
            for unit in character.encode_utf16(&mut units) {
                out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
        out
    })
}

/// A field of the plain format: `-` for no value; `\t`, `\n`, `\\` and `\u{..}` for characters that a field can't
/// contain; `\-` for a single dash.
pub(crate) fn field(text: Option<&str>) -> String {
    match text {
        None => "-".into(),
        Some("-") => "\\-".into(),
        Some(text) => text.chars().fold(String::new(), |mut out, character| {
            match character {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                _ if is_harmful(character) => out.extend(character.escape_unicode()),
                _ => out.push(character),
            }
            out
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey() {
        assert_eq!(printable("web\x1b[2J\u{202e}x ä"), "web\\u{1b}[2J\\u{202e}x ä");
        assert_eq!(printable("a\u{200b}b\u{feff}c\u{ad}"), "a\\u{200b}b\\u{feff}c\\u{ad}");
        assert_eq!(printable_line("hosts:\tdns\r"), "hosts:\tdns\\u{d}");
        assert_eq!(field(None), "-");
        assert_eq!(field(Some("-")), "\\-");
        assert_eq!(field(Some("a\tb\\c\nd\x07")), "a\\tb\\\\c\\nd\\u{7}");
    }

    /// Programs read what was written.
    #[test]
    fn json_is_ascii_where_it_must_be() {
        for text in ["a\x7fb", "\u{9b}31m", "\u{200b}", "\u{e0001}x", "ä \" \\ \n \t"] {
            let mut out = Vec::new();
            write_json(&mut out, &text).unwrap();
            let written = String::from_utf8(out).unwrap();
            assert!(written.trim_end().chars().all(|one| !is_harmful(one)), "{written:?}");
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
