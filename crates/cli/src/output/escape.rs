//! Names come from guests: what could drive a terminal or break a line is shown as an escape.

/// Text for people: control characters and those that turn the writing direction become `\u{..}`.
pub(crate) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        if is_harmful(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
        out
    })
}

/// Unicode's Bidi_Control, and the line separators that some terminals act upon.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A field of the plain format: `-` stands for nothing, `\t`, `\n`, `\\` and `\u{..}` for what can't
/// stand in a field, `\-` for a lone dash.
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
        assert_eq!(field(None), "-");
        assert_eq!(field(Some("-")), "\\-");
        assert_eq!(field(Some("a\tb\\c\nd\x07")), "a\\tb\\\\c\\nd\\u{7}");
    }
}
