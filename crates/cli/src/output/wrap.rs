//! Wraps text into lines.

use unicode_width::UnicodeWidthStr as _;

/// Breaks `text` at blanks into lines of at most `width` columns, unless a word is longer. Blanks at the start and
/// within lines are kept.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut gap = String::new();
    for piece in text.split_inclusive(' ') {
        let word = piece.trim_end_matches(' ');
        let fits = line.width() + gap.width() + word.width() <= width;
        if !word.is_empty() && !line.trim().is_empty() && !fits {
            lines.push(std::mem::take(&mut line));
            gap.clear();
        }
        if !word.is_empty() {
            line += &gap;
            line += word;
            gap.clear();
        }
        gap += &piece[word.len()..];
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one  two", 20), ["one  two"]);
        assert_eq!(wrap("  one two", 6), ["  one", "two"]);
        assert_eq!(wrap("a-long-word b", 4), ["a-long-word", "b"]);
        assert_eq!(wrap("名前 名前", 6), ["名前", "名前"]);
    }
}
