//! Patterns with `*` and `?`.

use std::convert::Infallible;
use std::str::FromStr;

/// A pattern for names and MACs; the case of ASCII letters doesn't count.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<char>);

impl FromStr for Pattern {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.chars().collect()))
    }
}

impl Pattern {
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let same =
            |pattern: &char, one: &char| *pattern == '?' || pattern.eq_ignore_ascii_case(one);
        // Where the last `*` stood, and how far into the text it reaches.
        let mut star: Option<(usize, usize)> = None;
        let (mut at, mut place) = (0, 0);
        while place < text.len() {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, place));
                    at += 1;
                }
                Some(pattern) if same(pattern, &text[place]) => {
                    at += 1;
                    place += 1;
                }
                _ => match &mut star {
                    Some((star_at, reach)) => {
                        *reach += 1;
                        (at, place) = (*star_at + 1, *reach);
                    }
                    None => return false,
                },
            }
        }
        self.0[at..].iter().all(|&rest| rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        let matches = |pattern: &str, text: &str| Pattern::from_str(pattern).unwrap().matches(text);
        for (pattern, text) in [
            ("web", "WEB"),
            ("", ""),
            ("*", ""),
            ("*", "anything"),
            ("web-*", "web-1"),
            ("*b*", "abc"),
            ("*-?", "a-b-c"),
            ("a*b*c", "aXbYbZc"),
            ("52:54:00:*", "52:54:00:68:7e:fb"),
            ("m?*vä", "my vä"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("web", "web1"),
            ("", "a"),
            ("?", ""),
            ("web-*", "web"),
            ("*b", "abc"),
            ("a*b*c", "acb"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
